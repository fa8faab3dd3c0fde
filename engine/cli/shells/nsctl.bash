# bash completion for nsctl
#
# As share/bash-completion/completions/nsctl it is loaded when nsctl is first completed;
# without the package bash-completion: source it in ~/.bashrc.

_nsctl()
{
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then # what follows is another command
            if declare -F _command_offset >/dev/null; then
                _command_offset $((i + 1))
            elif ((COMP_CWORD == i + 1)); then
                mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
            else
                compopt -o default
            fi
            return
        fi
    done

    # The line itself, since COMP_WORDS is cut at each = and :
    local line=${COMP_LINE:0:COMP_POINT} words current found
    read -ra words <<<"$line"
    if [[ $line == *[[:space:]] ]]; then words+=(""); fi
    current=${words[-1]}
    words=("${words[@]:1}")
    found=$(IFS=$'\n' && _NSCTL_COMPLETE="${words[*]}" "${1/#\~/$HOME}" 2>/dev/null)
    if [[ $? != 0 ]]; then
        compopt -o default # names of files
        return
    fi
    mapfile -t COMPREPLY <<<"$found"
    COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
    # Readline replaces only what follows the last of these.
    if [[ $current == *=* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${current%%=*}="}")
    fi
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace
    fi
    for i in "${!COMPREPLY[@]}"; do
        printf -v "COMPREPLY[i]" %q "${COMPREPLY[i]}"
    done
}

complete -F _nsctl nsctl
