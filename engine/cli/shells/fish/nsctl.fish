# fish completion for nsctl

function __nsctl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    if set -l dashes (contains -i -- -- $words) # what follows is another command
        complete -C (string join ' ' -- (string escape -- $words[(math $dashes + 1)..-1]) "$current")
        return
    end
    set -l given (string join \n -- $words[2..-1] "$current" | string collect)
    set -l found (_NSCTL_COMPLETE=$given $words[1] 2>/dev/null)
    if test $status -ne 0
        __fish_complete_path "$current"
        return
    end
    printf '%s\n' $found
end

complete -c nsctl -f -a '(__nsctl_complete)'
