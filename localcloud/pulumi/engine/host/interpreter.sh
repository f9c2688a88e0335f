# Sets $python: the interpreter of the project that the engine works on. The engine starts its
# plugins in the program's folder, so the nearest .venv on the way up from there is the project's.
python=
case ${PULUMI_RUNTIME_VIRTUALENV:-} in
  /*) [ -x "$PULUMI_RUNTIME_VIRTUALENV/bin/python" ] && python=$PULUMI_RUNTIME_VIRTUALENV/bin/python ;;
esac
folder=$(pwd -P)
while [ -z "$python" ] && [ -n "$folder" ]; do
  [ -x "$folder/.venv/bin/python" ] && python=$folder/.venv/bin/python
  folder=${folder%/*}
done
[ -n "$python" ] || python=${TRAINSTACK_PYTHON:-python3}
