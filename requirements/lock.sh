# Write the lock files anew: sh requirements/lock.sh BLURB... (by `make lock`).
#
# Versions are at least a week old, so that a hijacked upload has time to be found. The files hold
# for Python 3.11 to 3.14 on Linux and macOS, and name no index: where packages come from is the
# machine's business, what they are is ours.
set -eu
cd "$(dirname "$0")/.."

lock() {
    output=$1
    shift
    "${UV:-uv}" pip compile --quiet --no-config --default-index https://pypi.org/simple \
        --universal --python-version 3.11 --only-binary :all: --exclude-newer "7 days" \
        --generate-hashes --no-annotate --custom-compile-command "make lock" \
        --upgrade --output-file "$output" "$@"
}

# What builds the project itself is locked like what it runs with.
sed -n 's/^requires = \["\(.*\)"\]$/\1/p' pyproject.toml | lock requirements/lock.txt pyproject.toml -

# Only what the tests add, in versions that fit.
run=$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements/lock.txt | sort -u)
# shellcheck disable=SC2086  # one word each
lock requirements/dev.txt --extra dev --constraints requirements/lock.txt $run pyproject.toml

for blurb; do
    echo "${blurb%-*}==${blurb##*-}" | lock "requirements/$blurb.txt" -
done

# The master that the tests talk to, in an environment of its own: Twisted must not be in ours.
printf '%s\n' buildbot==4.3.0 buildbot-worker==4.3.0 buildbot-www==4.3.0 |
    lock requirements/buildbot.txt -
