# shellcheck shell=bash
# bash completion for cachify
#
# What can be given is listed once, in _cachify_options and _cachify_values; a test compares the
# former with the help texts. Keys, ids and names that are live are asked of cachify itself; profiles and
# resources that are defined are looked up in the configuration file.

_cachify_global_options='--store --prefix --profile --config -q --quiet -v --verbose --version -h --help'
_cachify_claim_options='-k --key -a --arg --weight -w --wait -t --timeout --priority --queue-max
  --replace -E --conflict-exit-code --kill-after'
_cachify_run_options="$_cachify_claim_options --on-full --on-lost -g --group --no-inherit"
_cachify_stores='file: redis:// rediss:// redis+unix:// redis+sentinel:// redis+cluster:// py-cachify+redis://'

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

# Prints the names X of the tables [$1.X] in the configuration file.
_cachify_configured() {
  local word file=$CACHIFY_CONFIG
  for word in "${_cachify_program[@]}"; do
    [[ $word == --config=* ]] && file=${word#--config=}
  done
  if [[ -z $file ]]; then
    file=${XDG_CONFIG_HOME:-$HOME/.config}/cachify/config.toml
    [[ -e $file ]] || file=/etc/cachify/config.toml
  fi
  [[ -f $file ]] && sed -n "s/^[[:blank:]]*\\[ *$1 *\\. *[\"']\\{0,1\\}\\([^]\"']*[^]\"' ]\\)[\"']\\{0,1\\} *\\].*/\\1/p" \
    "$file" 2>/dev/null
}

# Prints what stands in the store: of "keys" the keys of $2 (pool, lock), of "ids" who holds the key
# $_cachify_key of $2, of "names" its resources; the key with what --arg fills it with. Says nothing within a second: then nothing is offered.
_cachify_live() {
  local ask=(timeout 1 "${_cachify_program[@]}" "$2")
  case $1 in
    keys)
      if [[ $2 == resource ]]; then
        _cachify_configured resource | sed 's/[{}]/&&/g'
        return
      fi
      # A brace in KEY is written twice. Keys with quotes or control characters are left out.
      "${ask[@]}" list --json | grep -o '{"key":"[^"\\]*"' | sed 's/^{"key":"//; s/"$//; s/[{}]/&&/g'
      ;;
    ids)
      "${ask[@]}" status --key "$_cachify_key" "${_cachify_args[@]}" --json | sed 's/"waiters":.*//' |
        grep -o '{"id":"[^"\\]*"' | sed 's/^{"id":"//; s/"$//'
      ;;
    names)
      "${ask[@]}" status --key "$_cachify_key" "${_cachify_args[@]}" --json | grep -o '{"name":"[^"\\]*"' |
        sed 's/^{"name":"//; s/"$//'
      ;;
  esac 2>/dev/null </dev/null
}

# Sets COMPREPLY to the lines of standard input that begin with $1, quoted where they need it.
_cachify_offer() {
  local line quote=''
  [[ $1 == [\'\"]* ]] && quote=${1::1}
  local begin=${1#"$quote"}
  [[ -n $quote ]] || begin=${begin//\\/}
  while IFS= read -r line; do
    [[ $line == "$begin"* ]] || continue
    [[ -n $quote ]] || printf -v line '%q' "$line"
    COMPREPLY+=("$line")
  done
}

# Sets COMPREPLY to values of the option $1 of "NOUN VERB" $3 that begin with $2; false when it is a
# switch.
_cachify_values() {
  local words=''
  [[ $1 == -k && $3 == 'pool map' ]] && return 1
  case $1 in
    -k | --key)
      [[ -n $_cachify_ask ]] && _cachify_offer "$2" < <(_cachify_live keys "${3%% *}")
      return 0
      ;;
    --id)
      [[ -n $_cachify_ask && -n $_cachify_key ]] &&
        _cachify_offer "$2" < <(_cachify_live ids "${3%% *}")
      return 0
      ;;
    --name)
      [[ -n $_cachify_ask && -n $_cachify_key && $3 == 'resource remove' ]] &&
        _cachify_offer "$2" < <(_cachify_live names resource)
      return 0
      ;;
    --profile)
      [[ -n $_cachify_ask ]] && _cachify_offer "$2" < <(_cachify_configured profile)
      return 0
      ;;
    --store)
      compopt -o nospace 2>/dev/null
      case $2 in
        file:*) _cachify_offer "$2" < <(compgen -P file: -S / -d -- "${2#file:}") ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$_cachify_stores" -- "$2") ;;
      esac
      return
      ;;
    --on-lost) words='warn term kill' ;;
    --replace) words='running waiting both' ;;
    --until) words='free empty idle' ;;
    --owner-pid)
      mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$2")
      return
      ;;
    --slot-exp | --exp | -t | --timeout) words='none' ;;
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
    -a | --arg | -n | --max | --weight | --priority | --queue-max | --shed-at | \
      --count | --from | --create | --create-timeout | --min | --max-life | --check | --destroy | \
      --below | --reserve | --colsep | --queue | --retries | --idle-timeout | \
      --total-timeout | -E | --conflict-exit-code | --on-full | --kill-after | --prefix) ;;
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

# Keeps what a question to the store depends on. Nothing of a word is ever evaluated, so one with
# a variable in it is taken as it stands.
_cachify_note() {
  local value=$2
  case $value in
    \'*\' | \"*\") value=${value:1:-1} ;;
    *) value=${value//\\/} ;;
  esac
  case $1 in
    --store | --prefix | --profile | --config) _cachify_program+=("$1=$value") ;;
    -k | --key) _cachify_key=$value ;;
    -a | --arg) _cachify_args+=("--arg=$value") ;;
  esac
}

_cachify() {
  # bash splits words at : and =, whatever was typed; here they are whole again, with where each
  # one starts in COMP_WORDS.
  local i line=$COMP_LINE words=() starts=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    if ((i == 0)) || [[ $line == [[:space:]]* ]]; then
      line=${line#"${line%%[![:space:]]*}"}
      words+=('')
      starts+=("$i")
    fi
    words[-1]+=${COMP_WORDS[i]}
    line=${line#"${COMP_WORDS[i]}"}
  done
  local current=${words[-1]} option='' word nouns=() _cachify_ask='' _cachify_key='' _cachify_args=()
  local _cachify_program=("${words[0]/#\~/$HOME}")
  unset 'words[-1]'
  COMPREPLY=()

  # An option whose value is to come stays in `option`.
  for ((i = 1; i < ${#words[@]}; i++)); do
    word=${words[i]}
    if [[ -n $option ]]; then
      _cachify_note "$option" "$word"
      option=''
    elif [[ $word == '--' ]]; then
      _cachify_command $((starts[i] + 1)) "$current"
      return
    elif [[ $word == --*=* ]]; then
      _cachify_note "${word%%=*}" "${word#*=}"
    elif [[ $word == -* ]]; then
      _cachify_values "$word" '' "${nouns[*]}" && option=$word
      COMPREPLY=()
    else
      nouns+=("$word")
    fi
  done
  if [[ -z $option && $current == --*=* ]]; then
    option=${current%%=*}
    current=${current#*=}
  fi
  if [[ -n $option ]]; then
    _cachify_ask=1
    _cachify_values "$option" "$current" "${nouns[*]}"
    # Only what stands behind the last : or = is replaced.
    local breaks=${COMP_WORDBREAKS//[!:=]/}
    if [[ -n $breaks && $current == *["$breaks"]* && $current != [\'\"]* ]]; then
      word=${current%"${current##*["$breaks"]}"}
      COMPREPLY=("${COMPREPLY[@]#"$word"}")
    fi
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
