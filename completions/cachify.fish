# fish completion for cachify
#
# A test compares these options with the help texts. Keys, ids and names that are live are asked of
# cachify itself; profiles and resources that are defined are looked up in the configuration file.

# The words before --, the program's name and options left out.
function __cachify_nouns
    set -l words (commandline -opc)
    set -e words[1]
    set -l skip 0
    for word in $words
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case --
                return
            case --store --prefix --profile --config
                set skip 1
            case '-*'
            case '*'
                echo $word
        end
    end
end

# True behind the noun and verb $argv, before --.
function __cachify_in
    not __cachify_in_command; or return 1
    set -l nouns (__cachify_nouns)
    test "$nouns[1..2]" = "$argv"
end

# True where the nouns so far are exactly $argv.
function __cachify_at
    not __cachify_in_command; or return 1
    set -l nouns (__cachify_nouns)
    test "$nouns" = "$argv"
end

function __cachify_in_command
    contains -- -- (commandline -opc)
end

# COMMAND and its arguments, completed as if cachify were not there.
function __cachify_command
    set -l words (commandline -opc) (commandline -ct)
    set -l at (contains -i -- -- $words); or return
    set -l rest $words[(math $at + 1)..-1]
    complete -C (string join ' ' -- (string escape -- $rest[1..-2]) $rest[-1])
end

# cachify, with what the line says of the store; nothing within a second is no answer.
function __cachify_ask
    set -l words (commandline -opc)
    set -l given (string replace -r '^~' $HOME -- $words[1])
    for i in (seq 2 (count $words))
        switch $words[$i]
            case --
                break
            case --store --prefix --profile --config
                set -a given $words[$i]=$words[(math $i + 1)]
            case '--store=*' '--prefix=*' '--profile=*' '--config=*'
                set -a given $words[$i]
        end
    end
    timeout 1 $given $argv 2>/dev/null </dev/null
end

# The names X of the tables [$argv.X] in the configuration file.
function __cachify_configured
    set -l words (commandline -opc)
    set -l file $CACHIFY_CONFIG
    set -l at (contains -i -- --config $words)
    and set file $words[(math $at + 1)]
    set -l given (string replace -f -- --config= '' $words)
    and set file $given[-1]
    if test -z "$file"
        set -l home $XDG_CONFIG_HOME
        test -n "$home"; or set home $HOME/.config
        set file $home/cachify/config.toml
        test -e $file; or set file /etc/cachify/config.toml
    end
    test -f "$file"
    and string replace -rf '^\s*\[ *'$argv' *\. *["\']?([^\]"\']*[^\]"\' ])["\']? *\].*' '$1' <$file 2>/dev/null
end

function __cachify_stores
    if string match -q 'file:*' -- (commandline -ct)
        __fish_complete_directories (commandline -ct | string replace file: '') '' | string replace -r '^' file:
    else
        printf '%s\n' file: redis:// rediss:// redis+unix:// redis+sentinel:// redis+cluster:// py-cachify+redis://
    end
end

# A brace in KEY is written twice. Keys with quotes or control characters are left out.
function __cachify_keys
    if test (__cachify_nouns)[1] = resource
        __cachify_configured resource | sed 's/[{}]/&&/g'
        return
    end
    __cachify_ask (__cachify_nouns)[1] list --json | grep -o '{"key":"[^"\\\\]*"' |
        sed 's/^{"key":"//; s/"$//; s/[{}]/&&/g'
end

# What status says of the key in the line, filled as the line says.
function __cachify_status
    set -l words (commandline -opc)
    set -l key (string replace -f -- --key= '' $words)
    set -l at (contains -i -- --key $words; or contains -i -- -k $words)
    and set key $words[(math $at + 1)]
    test -n "$key"; or return
    set -l filled
    for i in (seq 2 (count $words))
        switch $words[$i]
            case --
                break
            case -a --arg
                set -a filled --arg=$words[(math $i + 1)]
            case '--arg=*'
                set -a filled $words[$i]
        end
    end
    __cachify_ask (__cachify_nouns)[1] status --key=$key $filled --json
end

function __cachify_names
    __cachify_status | grep -o '{"name":"[^"\\\\]*"' | sed 's/^{"name":"//; s/"$//'
end

function __cachify_ids
    __cachify_status | sed 's/"waiters":.*//; s/{"id":/\n&/g' |
        sed -n 's/^{"id":"\([^"\\\\]*\)".*"pid":\([0-9]*\),.*"command":"\(\([^"\\\\]\|\\\\.\)*\)".*/\1\tpid \2: \3/p'
end

complete -c cachify -f
complete -c cachify -n __cachify_in_command -a '(__cachify_command)'

complete -c cachify -n '__cachify_at' -a pool -d 'Counted slots'
complete -c cachify -n '__cachify_at' -a lock -d 'One at a time'
complete -c cachify -n '__cachify_at' -a doctor -d 'Check the store'
complete -c cachify -n '__cachify_at' -a help -d 'About a command'
complete -c cachify -n '__cachify_at pool; or __cachify_at help pool' -a run -d 'Run a command in a slot'
complete -c cachify -n '__cachify_at pool; or __cachify_at help pool' -a map -d 'Run a command for each item'
complete -c cachify -n '__cachify_at pool; or __cachify_at help pool' -a size -d 'Slots in use'
complete -c cachify -n '__cachify_at lock; or __cachify_at help lock' -a run -d 'Run a command under a lock'
complete -c cachify -n '__cachify_at lock; or __cachify_at help lock' -a is-locked -d 'Is it held?'
for noun in pool lock
    complete -c cachify -n "__cachify_at $noun; or __cachify_at help $noun" -a status -d 'Who holds, who waits'
    complete -c cachify -n "__cachify_at $noun; or __cachify_at help $noun" -a list -d 'Those in use'
    complete -c cachify -n "__cachify_at $noun; or __cachify_at help $noun" -a acquire -d 'Take one without a command'
    complete -c cachify -n "__cachify_at $noun; or __cachify_at help $noun" -a release -d 'Give one back'
end
complete -c cachify -n '__cachify_at pool; or __cachify_at help pool' -a resize -d 'Store a number of slots'
complete -c cachify -n '__cachify_at pool; or __cachify_at help pool' -a close -d 'Refuse newcomers'
complete -c cachify -n '__cachify_at pool; or __cachify_at help pool' -a open -d 'Let newcomers in again'
complete -c cachify -n '__cachify_at pool; or __cachify_at help pool' -a wait -d 'Wait for a state'
complete -c cachify -n '__cachify_at' -a resource -d 'Devices, licences, databases'
complete -c cachify -n '__cachify_at resource; or __cachify_at help resource' -a run -d 'Run a command with one of its own'
complete -c cachify -n '__cachify_at resource; or __cachify_at help resource' -a status -d 'Who has which'
complete -c cachify -n '__cachify_at resource; or __cachify_at help resource' -a add -d 'One more'
complete -c cachify -n '__cachify_at resource; or __cachify_at help resource' -a remove -d 'One less'
complete -c cachify -n '__cachify_at resource; or __cachify_at help resource' -a stop -d 'Destroy all'
complete -c cachify -n '__cachify_at help' -a 'pool lock resource doctor'

complete -c cachify -n 'not __cachify_in_command' -l store -x -a '(__cachify_stores)' -d 'Where slots are kept'
complete -c cachify -n 'not __cachify_in_command' -l prefix -x -d 'Stands before every key'
complete -c cachify -n 'not __cachify_in_command' -l profile -x -a '(__cachify_configured profile)' -d 'Profile of the configuration file'
complete -c cachify -n 'not __cachify_in_command' -l config -r -F -d 'Configuration file'
complete -c cachify -n 'not __cachify_in_command' -s q -l quiet -d 'Print only errors'
complete -c cachify -n 'not __cachify_in_command' -s v -l verbose -d 'Explain waiting and refusals'
complete -c cachify -n 'not __cachify_in_command' -l version -d 'Print the version'
complete -c cachify -n 'not __cachify_in_command' -s h -l help -d 'Print help'

for verb in 'pool run' 'pool acquire' 'pool release' 'pool resize' 'pool close' 'pool open' 'pool wait' 'pool size' 'pool status' 'lock run' 'lock acquire' 'lock release' 'lock is-locked' 'lock status' 'resource run' 'resource status' 'resource add' 'resource remove' 'resource stop'
    complete -c cachify -n "__cachify_in $verb" -s k -l key -x -a '(__cachify_keys)' -d 'The name that all callers share'
    complete -c cachify -n "__cachify_in $verb" -s a -l arg -x -d 'NAME=VALUE, fills {NAME} in KEY'
end

for verb in 'pool run' 'pool acquire'
    complete -c cachify -n "__cachify_in $verb" -s n -l max -x -d 'How many slots there are'
    complete -c cachify -n "__cachify_in $verb" -l slot-exp -x -a none -d 'Slot stops counting after that long'
    complete -c cachify -n "__cachify_in $verb" -l shed-at -x -d 'Refuse from that occupancy on'
end
for verb in 'lock run' 'lock acquire'
    complete -c cachify -n "__cachify_in $verb" -s s -l shared -d 'Readers may hold it together'
    complete -c cachify -n "__cachify_in $verb" -l exp -x -a none -d 'Lock stops counting after that long'
end
for verb in 'pool acquire' 'lock acquire'
    complete -c cachify -n "__cachify_in $verb" -l owner-pid -x -a '(__fish_complete_pids)' -d 'Ends with this process'
end
for verb in 'pool release' 'lock release'
    complete -c cachify -n "__cachify_in $verb" -l id -x -a '(__cachify_ids)' -d 'The slot'
end
for verb in 'pool release' 'lock release' 'pool close'
    complete -c cachify -n "__cachify_in $verb" -l terminate -d 'End the command'
end
complete -c cachify -n '__cachify_in pool release' -l all -d 'All slots of the pool'
complete -c cachify -n '__cachify_in pool close' -l cancel-waiting -d 'Dismiss who waits'
complete -c cachify -n '__cachify_in pool resize' -s n -l max -x -d 'The number of slots'
complete -c cachify -n '__cachify_in pool resize' -l unset -d 'Each own --max counts again'
complete -c cachify -n '__cachify_in pool wait' -l until -x -a 'free empty idle' -d 'The state to wait for'
complete -c cachify -n '__cachify_in pool wait' -s t -l timeout -x -a none -d 'Wait at most so long'
complete -c cachify -n '__cachify_in pool size' -l below -x -d 'Exit 0 when fewer are in use'

complete -c cachify -n '__cachify_in resource add' -l name -x -d 'The name or handle'
complete -c cachify -n '__cachify_in resource remove' -l name -x -a '(__cachify_names)' -d 'The name or handle'
complete -c cachify -n '__cachify_in resource run' -l count -x -d 'Take so many at once'
complete -c cachify -n '__cachify_in resource run' -l from -x -d 'What there is'
complete -c cachify -n '__cachify_in resource run' -l create -x -d 'Make one and print its handle'
complete -c cachify -n '__cachify_in resource run' -l create-timeout -x -d 'How long that may take'
complete -c cachify -n '__cachify_in resource run' -l min -x -d 'Keep at least so many'
complete -c cachify -n '__cachify_in resource run' -s n -l max -x -d 'Never more than so many'
complete -c cachify -n '__cachify_in resource run' -l max-life -x -d 'Make older ones anew'
complete -c cachify -n '__cachify_in resource run' -l check -x -d 'Must exit 0 before a handle is lent'
complete -c cachify -n '__cachify_in resource run' -l destroy -x -d 'End a handle'
complete -c cachify -n '__cachify_in resource run' -l shed-at -x -d 'Refuse from that occupancy on'

for verb in 'pool size' 'pool status' 'pool list' 'lock status' 'lock list' 'doctor' 'resource status'
    complete -c cachify -n "__cachify_in $verb" -l json -d 'Print JSON'
end
for verb in 'pool status' 'lock status'
    complete -c cachify -n "__cachify_in $verb" -l watch -d 'Go on showing what changes'
end

for verb in 'pool run' 'lock run' 'pool acquire' 'lock acquire' 'resource run'
    complete -c cachify -n "__cachify_in $verb" -s w -l wait -d 'Wait, first come first served'
    complete -c cachify -n "__cachify_in $verb" -s t -l timeout -x -a none -d 'Wait at most so long'
    complete -c cachify -n "__cachify_in $verb" -l priority -x -d 'A higher one is served first'
    complete -c cachify -n "__cachify_in $verb" -l queue-max -x -d 'Do not wait where N do'
    complete -c cachify -n "__cachify_in $verb" -s E -l conflict-exit-code -x -d 'Code instead of 75 and 124'
    complete -c cachify -n "__cachify_in $verb" -l kill-after -x -d 'KILL so long after a TERM'
end
for verb in 'pool run' 'lock run' 'resource run'
    complete -c cachify -n "__cachify_in $verb" -l on-full -x -d 'Run this instead of any 75 or 124'
    complete -c cachify -n "__cachify_in $verb" -l on-lost -x -a 'warn term kill' -d 'When a lease is lost'
    complete -c cachify -n "__cachify_in $verb" -s g -l group -d 'Own process group'
    complete -c cachify -n "__cachify_in $verb" -l no-inherit -d 'Slot is not kept by COMMAND'
end
for verb in 'pool run' 'lock run' 'pool acquire' 'lock acquire'
    complete -c cachify -n "__cachify_in $verb" -l weight -x -d 'Slots to take'
    complete -c cachify -n "__cachify_in $verb" -l replace -x -a 'running waiting both' -d 'Newest wins'
end

# Here -k is --keep-order.
complete -c cachify -n '__cachify_in pool map' -l key -x -a '(__cachify_keys)' -d 'The name that all callers share'
complete -c cachify -n '__cachify_in pool map' -s a -l arg -x -d 'NAME=VALUE, fills {NAME} in KEY'
complete -c cachify -n '__cachify_in pool map' -s n -l max -x -d 'How many slots there are'
complete -c cachify -n '__cachify_in pool map' -l reserve -x -d 'Keep at least so many slots'
complete -c cachify -n '__cachify_in pool map' -l input -r -F -d 'Read the items from a file'
complete -c cachify -n '__cachify_in pool map' -s 0 -l null -d 'Items end with NUL'
complete -c cachify -n '__cachify_in pool map' -l colsep -x -d 'Cut items into columns'
complete -c cachify -n '__cachify_in pool map' -l header -d 'The first row names the columns'
complete -c cachify -n '__cachify_in pool map' -l jsonl -d 'Each item is JSON'
complete -c cachify -n '__cachify_in pool map' -l strict -d 'Read and check all items first'
complete -c cachify -n '__cachify_in pool map' -l queue -x -d 'Read at most so many items ahead'
complete -c cachify -n '__cachify_in pool map' -s k -l keep-order -d 'Output in the order of the items'
complete -c cachify -n '__cachify_in pool map' -l tag -d 'Print each line after its item'
complete -c cachify -n '__cachify_in pool map' -l dry-run -d 'Print the commands only'
complete -c cachify -n '__cachify_in pool map' -l results -r -F -d 'Keep outputs and codes there'
complete -c cachify -n '__cachify_in pool map' -l joblog -r -F -d 'Log a line for each item'
complete -c cachify -n '__cachify_in pool map' -l resume -d 'Leave out what the joblog has'
complete -c cachify -n '__cachify_in pool map' -l resume-failed -d 'Leave out what succeeded'
complete -c cachify -n '__cachify_in pool map' -l progress -d 'Show how far it is'
complete -c cachify -n '__cachify_in pool map' -l retries -x -d 'Try a failed item again'
complete -c cachify -n '__cachify_in pool map' -l halt -x -a 'never soon now' -d 'After a failure'
complete -c cachify -n '__cachify_in pool map' -l idle-timeout -x -d 'Stop reading after so long without an item'
complete -c cachify -n '__cachify_in pool map' -l total-timeout -x -d 'Stop everything after so long'
complete -c cachify -n '__cachify_in pool map' -s w -l wait -d 'Wait, first come first served'
complete -c cachify -n '__cachify_in pool map' -s t -l timeout -x -a none -d 'Wait at most so long'
complete -c cachify -n '__cachify_in pool map' -l priority -x -d 'A higher one is served first'
complete -c cachify -n '__cachify_in pool map' -l queue-max -x -d 'Do not wait where N do'
complete -c cachify -n '__cachify_in pool map' -s E -l conflict-exit-code -x -d 'Code instead of 75 and 124'
complete -c cachify -n '__cachify_in pool map' -l on-lost -x -a 'warn term kill' -d 'When a lease is lost'
complete -c cachify -n '__cachify_in pool map' -l kill-after -x -d 'KILL so long after a TERM'
complete -c cachify -n '__cachify_in pool map' -l no-inherit -d 'Slot is not kept by COMMAND'
