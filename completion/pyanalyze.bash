# bash completion for pyanalyze(1)

_pyanalyze_formats()
{
    pyanalyze --help 2>/dev/null | sed -n '/^Formats:/,$ s/^  \([a-z]*\) .*/\1/p'
}

_pyanalyze_files()
{
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_pyanalyze_words()
{
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

_pyanalyze()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}

    # readline splits words at '=': `--format NAME=FILE` is three of them, `--sort=cpu` too.
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
        [[ $before == --* ]] || before=FILE
    fi
    case $before in
    -f | --format)
        _pyanalyze_words "$(_pyanalyze_formats)" "$word"
        ;;
    --sort)
        _pyanalyze_words "cpu wall hits waiting calls ncalls cumtime cumulative filename line module name nfl pcalls
            stdname time tottime" "$word"
        ;;
    --by)
        _pyanalyze_words "self cpu hits" "$word"
        ;;
    --unit)
        _pyanalyze_words "s ms us ns" "$word"
        ;;
    --color)
        _pyanalyze_words "auto always never" "$word"
        ;;
    --thread | --process | --top | --min-percent | --restrict | --from | --to | --function)
        COMPREPLY=()
        ;;
    --sql)
        if [[ $word == @* ]]; then
            _pyanalyze_files "${word#@}"
            COMPREPLY=("${COMPREPLY[@]/#/@}")
        fi
        ;;
    -o | --output | --zipfile | --db | --file | --include | --exclude | FILE)
        _pyanalyze_files "$word"
        ;;
    *)
        if [[ $word == -* ]]; then
            _pyanalyze_words "--format --output --zipfile --db --sql --csv --json --schema --thread --process --window
                --include --exclude --file --per-thread --sort --reverse --restrict --strip-dirs --callers --callees
                --from --to --function --statements
                --by --unit --top --min-percent --fold --lines
                --force --strict --color --no-pager --verbose --version --help -f -o -v -V -h" "$word"
        else
            _pyanalyze_files "$word"
        fi
        ;;
    esac
}

complete -F _pyanalyze pyanalyze
