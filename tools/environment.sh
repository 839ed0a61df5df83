#!/bin/sh
# Makes an environment of locked packages: `environment.sh FOLDER LOWEST BELOW LOCK [PROJECT]`. It says nothing, and does
# nothing, if the one that is there will do.
#
# LOWEST and BELOW bound the minor version of Python: `11 15` is 3.11 to 3.14. It is the Python that PYTHON names, else that of
# the environment that is there, else the newest to be found. PROJECT, a folder with a pyproject.toml, is installed besides,
# as it stands there.
set -eu
folder=$1 lowest=$2 below=$3 lock=$4 project=${5:-}

# Prints the version and the path of the Python that a command runs, if it may be used. A command that is found need not run
# (pyenv has one for each version that it ever installed) nor have venv (Debian has it in another package). Of an environment's
# Python the path is that of the one it was made with.
usable() {
    "$1" -c "
import ensurepip, os, sys, venv
minor = sys.version_info[1]
if sys.version_info[0] == 3 and $lowest <= minor < $below:
    print('3.%d' % minor, os.path.join(sys.base_prefix, 'bin', 'python3.%d' % minor))
" 2>/dev/null || true
}

newest_usable() {
    minor=$((below - 1))
    while [ "$minor" -ge "$lowest" ]; do
        for command in "python3.$minor" python3; do
            usable "$command" | grep "^3\.$minor " && return
        done
        minor=$((minor - 1))
    done
}

there=$(usable "$folder/bin/python")
if [ -n "${PYTHON:-}" ]; then
    chosen=$(usable "$PYTHON")
else
    chosen=${there:-$(newest_usable)}
fi
if [ -z "$chosen" ]; then
    needed="one of Python 3.$lowest to 3.$((below - 1)) that has venv"
    if [ -n "${PYTHON:-}" ]; then
        echo "$PYTHON is not $needed." >&2
    else
        echo "$folder needs $needed, and there is none. Install one, or name it: make PYTHON=/path/to/python3 ..." >&2
    fi
    exit 1
fi
version=${chosen%% *} python=${chosen#* }

if [ -e "$folder" ] && [ "${there%% *}" != "$version" ]; then
    echo "The $folder that is there is of another Python: it is made anew."
    rm -rf "$folder"
fi
if [ -e "$folder/installed" ]; then
    # Something that is newer than the last installation, or else nothing is to be done.
    [ -n "$(find "$lock" ${project:+"$project/pyproject.toml"} -newer "$folder/installed")" ] || exit 0
fi
echo "Setting up $folder with Python $version (once)"
"$python" -m venv "$folder"
# Twice quiet: pip warns of every index of this machine that lacks a package. What is imported gets compiled then.
pip() { "$folder/bin/python" -m pip --disable-pip-version-check -qq "$@"; }
# A lock is whole. Were pip to look for dependencies, it would take the newest of a package that is asked for with extras.
as_locked="--no-deps --require-hashes -r"
# uv takes a tenth of pip's time, and knows nothing of pip's settings, such as an index of one's own: where it fails, pip does it.
awk '/^[^ ]/ {is_uv = /^uv==/} is_uv' "$lock" >"$folder/uv.lock"
pip install --no-compile $as_locked "$folder/uv.lock"
"$folder/bin/uv" pip install -q --python "$folder/bin/python" $as_locked "$lock" 2>"$folder/uv.log" ||
    pip install --no-compile $as_locked "$lock"
if [ -n "$project" ]; then
    pip install --no-deps --no-build-isolation --editable "$project"
fi
pip check
touch "$folder/installed"
