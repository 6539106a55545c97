# shellcheck shell=bash
# bash completion for cachify
#
# What can be given is listed once, in _cachify_options and _cachify_values; a test compares the
# former with the help texts.

_cachify_global_options='--store --prefix --profile --config -q --quiet -v --verbose --version -h --help'
_cachify_claim_options='-k --key -a --arg --weight -w --wait -t --timeout --priority --queue-max
  --replace -E --conflict-exit-code --kill-after'
_cachify_run_options="$_cachify_claim_options --on-full --on-lost -g --group --no-inherit"

_cachify_resource_options='-k --key -a --arg --count --from --create --create-timeout --min -n --max
  --max-life --check --destroy -w --wait -t --timeout --priority --queue-max --shed-at
  -E --conflict-exit-code --on-full --on-lost --kill-after -g --group --no-inherit'

# The options of "NOUN VERB".
_cachify_options() {
  case $1 in
    'pool run') echo "$_cachify_run_options -n --max --slot-exp --shed-at" ;;
    'pool map') echo '--key -a --arg -n --max --reserve --input -0 --null --colsep --header --jsonl
      --strict --queue -k --keep-order --tag --dry-run --results --joblog --resume --resume-failed
      --progress --retries --halt --idle-timeout --total-timeout -w --wait -t --timeout --priority
      --queue-max -E --conflict-exit-code --on-lost --kill-after --no-inherit' ;;
    'lock run') echo "$_cachify_run_options -s --shared --exp" ;;
    'pool acquire') echo "$_cachify_claim_options -n --max --slot-exp --shed-at --owner-pid" ;;
    'lock acquire') echo "$_cachify_claim_options -s --shared --exp --owner-pid" ;;
    'pool release') echo '-k --key -a --arg --id --all --terminate' ;;
    'lock release') echo '-k --key -a --arg --id --terminate' ;;
    'pool resize') echo '-k --key -a --arg -n --max --unset' ;;
    'pool close') echo '-k --key -a --arg --cancel-waiting --terminate' ;;
    'pool wait') echo '-k --key -a --arg --until -t --timeout' ;;
    'pool size') echo '-k --key -a --arg --json --below' ;;
    'pool status' | 'lock status') echo '-k --key -a --arg --json --watch' ;;
    'pool list' | 'lock list' | doctor) echo '--json' ;;
    'resource run') echo "$_cachify_resource_options" ;;
    'resource status') echo '-k --key -a --arg --json' ;;
    'resource add' | 'resource remove') echo '-k --key -a --arg --name' ;;
    'resource stop') echo '-k --key -a --arg' ;;
    'lock is-locked' | 'pool open') echo '-k --key -a --arg' ;;
  esac
  echo "$_cachify_global_options"
}

# Sets COMPREPLY to values of the option $1 of "NOUN VERB" $3 that begin with $2; false when it is a
# switch.
_cachify_values() {
  local words=''
  [[ $1 == -k && $3 == 'pool map' ]] && return 1
  case $1 in
    --on-lost) words='warn term kill' ;;
    --replace) words='running waiting both' ;;
    --until) words='free empty idle' ;;
    --owner-pid)
      mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$2")
      return
      ;;
    --slot-exp | --exp | -t | --timeout) words='none' ;;
    --store) words='file:' ;;
    --halt) words='never soon now' ;;
    --results)
      compopt -o dirnames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$2")
      return
      ;;
    --config | --input | --joblog)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$2")
      return
      ;;
    -k | --key | -a | --arg | -n | --max | --weight | --priority | --queue-max | --shed-at | \
      --count | --from | --create | --create-timeout | --min | --max-life | --check | --destroy | \
      --name | --below | --id | --reserve | --colsep | --queue | --retries | --idle-timeout | \
      --total-timeout | -E | --conflict-exit-code | --on-full | --kill-after | --prefix | --profile) ;;
    *) return 1 ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$2")
}

# COMMAND and its arguments stand from word $1 on.
_cachify_command() {
  if declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  elif ((COMP_CWORD == $1)); then
    mapfile -t COMPREPLY < <(compgen -c -- "$2")
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$2")
  fi
}

_cachify() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  # bash splits --option=value at the =.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()

  local i word skip='' nouns=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ -n $skip ]]; then
      skip=''
      [[ $word == '=' ]] && skip=1
    elif [[ $word == '--' ]]; then
      _cachify_command $((i + 1)) "$current"
      return
    elif [[ $word == -* ]]; then
      COMPREPLY=()
      _cachify_values "$word" '' "${nouns[*]}" && skip=1
    else
      nouns+=("$word")
    fi
  done
  COMPREPLY=()
  if [[ -n $skip ]]; then
    _cachify_values "$previous" "$current" "${nouns[*]}"
    return
  fi

  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_cachify_options "${nouns[*]}") --" -- "$current")
    return
  fi
  [[ ${nouns[0]} == help ]] && nouns=("${nouns[@]:1}")
  case ${nouns[*]} in
    '') mapfile -t COMPREPLY < <(compgen -W 'pool lock resource doctor help' -- "$current") ;;
    pool) mapfile -t COMPREPLY < <(compgen -W 'run map size status list acquire release resize close open wait' -- "$current") ;;
    resource) mapfile -t COMPREPLY < <(compgen -W 'run status add remove stop' -- "$current") ;;
    lock) mapfile -t COMPREPLY < <(compgen -W 'run is-locked status list acquire release' -- "$current") ;;
  esac
}

complete -F _cachify cachify
