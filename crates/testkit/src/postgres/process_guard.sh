# Runs one server of a test in a temporary folder. Reads one command per line from standard input and answers each with
# one line. When the input ends, for whatever reason, it stops the server and deletes the folder.
pid=
folder=$(mktemp -d "${TMPDIR:-/tmp}/muster-test.XXXXXX") && cd "$folder" || exit 1
echo "$folder"

# The sleep also lets the shell reap an exited child.
is_alive() { sleep 0.05; kill -0 "$pid"; }

while read -r verb words; do
    case $verb in
    run) # a command, and wait
        eval "$words" >>log 2>&1 </dev/null ;;
    start) # the server
        eval "exec $words" >>log 2>&1 </dev/null &
        pid=$! ;;
    alive)
        is_alive ;;
    stop) # with a signal, and wait
        kill "-$words" "$pid"
        wait "$pid"
        pid= ;;
    signal) # to the server and its children; the server first, so that a stopped server starts no more children
        kill "-$words" "$pid"
        kill "-$words" $(pgrep -P "$pid")
        true ;;
    cut) # kill everything at once, without cleanup
        kill -STOP "$pid"
        children=$(pgrep -P "$pid")
        kill -KILL $children "$pid"
        wait "$pid"
        pid=
        # Orphans exit a moment later and hold the shared memory until then.
        for child in $children; do
            until case $(ps -o stat= -p "$child") in '' | Z*) true ;; *) false ;; esac do sleep 0.01; done
        done
        true ;;
    *) false ;;
    esac
    echo $?
done

if [ -n "$pid" ]; then
    # The test may have ended while the server was suspended.
    kill -CONT "$pid" $(pgrep -P "$pid")
    # Immediate shutdown: PostgreSQL and newer PgBouncers use SIGQUIT, older PgBouncers SIGTERM.
    kill -QUIT "$pid"
    kill -TERM "$pid"
    tries=0
    while [ $tries -lt 100 ] && is_alive; do tries=$((tries + 1)); done
    kill -KILL "$pid"
fi
# A killed PostgreSQL leaves its shared memory lock on the folder.
[ -f data/postmaster.pid ] && ipcrm -m "$(awk 'NR == 7 { print $2 }' data/postmaster.pid)"
cd /
rm -rf "$folder"
