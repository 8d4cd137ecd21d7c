"""``strongroom completion SHELL``: the script that has a shell complete the command.

It asks ``strongroom completion candidates`` at each Tab and shows what that says. So nothing of a verb is written down
in a script, and one that was installed once stays right.
"""

import sys

from cli.completion.candidates import offer

_CANDIDATES = "candidates"

BASH = r"""# strongroom completion bash >/etc/bash_completion.d/strongroom
_strongroom() {
    local kind begin word words=() offered=() current=${COMP_WORDS[COMP_CWORD]}
    # bash takes a word apart at = and :, which are a part of it here.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if ((${#words[@]})) && [[ $word == [:=]* || ${words[-1]} == *[:=] ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    while IFS=$'\t' read -r word _; do
        if [[ -z $kind ]]; then
            read -r kind begin <<<"$word"
        else
            offered+=("$word")
        fi
    done < <("${COMP_WORDS[0]}" completion candidates "${words[@]}" 2>/dev/null)
    [[ $current != [:=] ]] || current=
    case $kind in
    words) mapfile -t COMPREPLY < <(compgen -W "${offered[*]}" -- "$current") ;;
    files)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    command)
        if declare -F _command_offset >/dev/null; then
            _command_offset $((begin + 1))
        elif ((begin == ${#words[@]} - 1)); then
            mapfile -t COMPREPLY < <(compgen -c -- "$current")
        else
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
        fi
        ;;
    esac
}
complete -F _strongroom strongroom
"""

ZSH = r"""#compdef strongroom
# strongroom completion zsh >DIR/_strongroom, in a DIR of $fpath
_strongroom() {
    local kind line
    local -a lines offered
    lines=("${(@f)$("${(Q)words[1]}" completion candidates "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    kind=${lines[1]%% *}
    case $kind in
    words)
        for line in "${(@)lines[2,-1]}"; do
            offered+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        done
        _describe strongroom offered
        ;;
    files) _files ;;
    command)
        local begin=${lines[1]#* }
        shift $((begin + 1)) words
        ((CURRENT -= begin + 1))
        _normal
        ;;
    esac
}
if [[ ${funcstack[1]} == _strongroom ]]; then
    _strongroom "$@"
else
    compdef _strongroom strongroom
fi
"""

FISH = r"""# strongroom completion fish >~/.config/fish/completions/strongroom.fish
function __strongroom_offer
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] completion candidates $words[2..] "$current" 2>/dev/null)
    set -l kind (string split ' ' -- $lines[1])
    switch "$kind[1]"
        case words
            string join \n -- $lines[2..]
        case files
            __fish_complete_path $current
        case command
            __fish_complete_subcommand --fcs-skip=(math $kind[2] + 1)
    end
end
complete -c strongroom -f -a '(__strongroom_offer)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}

HELP = f"""\
usage: strongroom completion {"|".join(SCRIPTS)}

Print a script that has a shell complete verbs, options and values at a Tab. It asks this command each time, so it fits
any later version, too.

  bash  strongroom completion bash >/etc/bash_completion.d/strongroom
  zsh   strongroom completion zsh >DIR/_strongroom, in a DIR of $fpath
  fish  strongroom completion fish >~/.config/fish/completions/strongroom.fish

or for one session: . <(strongroom completion bash); in fish: strongroom completion fish | source
"""


def main(arguments: list[str]) -> int:
    """Run the verb and return its exit status: 2 when the shell is none of these.

    Args:
        arguments: what follows ``strongroom completion``.
    """
    if arguments[:1] in (["--help"], ["-h"]):
        sys.stdout.write(HELP)
        return 0
    if arguments[:1] == [_CANDIDATES]:
        sys.stdout.write(offer(arguments[1:] or [""]).render())
        return 0
    script = SCRIPTS.get(arguments[0]) if len(arguments) == 1 else None
    if script is None:
        sys.stderr.write(f"strongroom: error: {' '.join(arguments) or 'completion'}: must name one shell\n")
        sys.stderr.write(f"strongroom: hint: strongroom completion {'|'.join(SCRIPTS)}\n")
        return 2
    sys.stdout.write(script)
    return 0
