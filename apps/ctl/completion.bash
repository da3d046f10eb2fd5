# Completion of siglanectl for bash. Names of peers are asked of the node that the line names.
_siglanectl() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local options="--socket --url --token-file --ca --output --watch --frames --timeout --help --version"
  local commands="peers associations stats drops facts as routes route-lookup explain reload
    disconnect connect block unblock peel log-level"
  local command="" node=() i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case ${COMP_WORDS[i]} in
      -s | --socket | -u | --url | --token-file | --ca)
        node+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}")
        ((++i)) ;;
      -o | --output | --frames | --timeout) ((++i)) ;;
      -*) ;;
      *) [[ -n $command ]] || command=${COMP_WORDS[i]} ;;
    esac
  done
  COMPREPLY=()
  case $before in
    -s | --socket | --token-file | --ca) compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    -o | --output) mapfile -t COMPREPLY < <(compgen -W "table wide json name" -- "$word"); return ;;
    --peer) command=peer ;;
  esac
  case $command in
    "") [[ $word == -* ]] || options=$commands ;;
    stats) options+=" --all --peer --by-peer --labels" ;;
    facts) options+=" --max" ;;
    route-lookup) options+=" --realm --application --host --dpc --opc --si --sls --na" ;;
    reload) options+=" --dry-run" ;;
    log-level) [[ $word == -* ]] || options="debug info warning error off" ;;
    explain | disconnect | connect | block | unblock | peel | peer)
      [[ $word == -* ]] ||
        options=$(siglanectl "${node[@]}" --timeout 1 --output name peers 2>/dev/null) ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}
complete -F _siglanectl siglanectl
