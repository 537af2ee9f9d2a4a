# bash completion for pyrec

# Options of pyrec, and those of the interpreter that need no --python-args.
_pyrec_options='--out --force --then --python --python-args --include --exclude --exclude-syspath --no-threads
    --no-children --no-source --c-calls --echo --sample --max-depth --toggle-signal --max-size --min-free --quiet --verbose --help --version
    -o -m -c -q -v -h -V -S -I -E -s -O -OO -B -b -u -X -W'
_pyrec_formats='annotate callgrind callgrindzip chrometrace flamegraph folded functions lcov lines pprofile pstats samples
    speedscope stats summary trace tree zip db'

_pyrec_modules()
{
    "${PYREC_PYTHON:-python3}" -c 'import pkgutil, sys
sys.path.insert(0, "")
print("\n".join(sorted({m.name for m in pkgutil.iter_modules() if m.name.startswith(sys.argv[1])})))' "$1" 2>/dev/null
}

_pyrec_files()
{
    local IFS=$'\n'

    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen "$@" -- "$value")
}

_pyrec_programs()
{
    local IFS=$'\n' suffix

    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -d -- "$value"
        for suffix in py pyz zip; do compgen -f -X "!*.$suffix" -- "$value"; done)
}

_pyrec_value()
{
    case $1 in
    -o | --out) _pyrec_files -f ;;
    --python) mapfile -t COMPREPLY < <(compgen -c -X '!*python*' -- "$value"; compgen -f -- "$value") ;;
    --then) mapfile -t COMPREPLY < <(compgen -W "$_pyrec_formats" -- "$value") ;;
    -m) mapfile -t COMPREPLY < <(_pyrec_modules "$value") ;;
    -X) mapfile -t COMPREPLY < <(compgen -W 'dev utf8 importtime faulthandler tracemalloc' -- "$value") ;;
    -W) mapfile -t COMPREPLY < <(compgen -W 'default error always module once ignore' -- "$value") ;;
    *) COMPREPLY=() ;;
    esac
}

# The index of SCRIPT, MODULE or CODE, behind which all words are the program's; else that of the word to complete.
# `before` is set to the option whose value that word is.
_pyrec_walk()
{
    local i=1

    before=
    [[ ${words[1]} == run ]] && i=2
    for (( ; i < cword; i++ )); do
        case ${words[i]} in
        --) i=$((i + 1)); break ;;
        -m | -c)
            if (( i + 1 == cword )); then before=${words[i]}; else i=$((i + 1)); break; fi ;;
        -o | -X | -W | --out | --then | --python | --python-args | --include | --exclude | --sample | --max-depth | --toggle-signal | --max-size | --min-free)
            if (( i + 1 == cword )); then before=${words[i]}; else i=$((i + 1)); fi ;;
        -*) ;;
        *) break ;;
        esac
    done
    start=$i
}

# The options of pprofile, cProfile or kernprof; else files.
_pyrec_frontend()
{
    local options='--out --format --zipfile --threads --statistic --verbose --exclude-syspath --exclude --include
        --help -o -f -z -t -s -v -m -h'

    [[ $1 == cprofile ]] && options='--outfile --sort --help -o -s -m -h'
    [[ $1 == kernprof ]] && options='--line-by-line --builtin --setup --prof-mod --outfile --verbose --view --quiet --unit
        --skip-zero --summarize --inspect --output-interval --version --help -l -b -s -p -o -v -q -u -z -i -m -c -h'
    if [[ $value == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$value")
    else
        _pyrec_files -f
    fi
}

_pyrec()
{
    local words=() cword=0 before='' start=0 value='' word

    # Bash cuts words at `=`; put together again they are those of the command line.
    for word in "${!COMP_WORDS[@]}"; do
        if [[ ${COMP_WORDS[word]} == '=' && ${#words[@]} -gt 0 && ${words[-1]} == --* ]]; then
            words[-1]+='='
        elif [[ ${#words[@]} -gt 0 && ${words[-1]} == --*= ]]; then
            words[-1]+=${COMP_WORDS[word]}
        else
            words+=("${COMP_WORDS[word]}")
        fi
        (( word == COMP_CWORD )) && cword=$((${#words[@]} - 1))
    done
    value=${words[cword]}

    if (( cword > 1 )) && [[ ${words[1]} == analyze ]]; then
        declare -F _pyanalyze >/dev/null && _pyanalyze
        return
    fi
    if (( cword > 1 )) && [[ ${words[1]} =~ ^([pc]profile|kernprof)$ ]]; then
        _pyrec_frontend "${words[1]}"
        return
    fi
    _pyrec_walk
    if [[ -n $before ]]; then
        _pyrec_value "$before"
    elif (( start < cword )); then
        _pyrec_files -f
    elif [[ $value == --*=* ]]; then
        word=${value%%=*}
        value=${value#*=}
        _pyrec_value "$word"
    elif [[ $value == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$_pyrec_options" -- "$value")
    else
        _pyrec_programs
        (( cword == 1 )) && mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W 'run analyze pprofile cprofile kernprof' -- "$value")
    fi
}

complete -F _pyrec pyrec
