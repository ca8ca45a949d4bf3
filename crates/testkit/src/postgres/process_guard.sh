# Keeps one server of a test, in a throw-away folder. It does what it reads from its standard input, a line each, and
# answers with a line each. When that input ends, for whatever reason the test went away, so do server and folder.
pid=
folder=$(mktemp -d "${TMPDIR:-/tmp}/muster-test.XXXXXX") && cd "$folder" || exit 1
echo "$folder"

# A command between two looks lets the shell notice that a child has ended.
is_alive() { sleep 0.05; kill -0 "$pid"; }

while read -r verb words; do
    case $verb in
    run) # a command, to its end
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
    signal) # to all of it; the server first, so that it starts no more children when it is stopped
        kill "-$words" "$pid"
        kill "-$words" $(pgrep -P "$pid")
        true ;;
    cut) # everything at once: nobody gets to tidy up
        kill -STOP "$pid"
        children=$(pgrep -P "$pid")
        kill -KILL $children "$pid"
        wait "$pid"
        pid=
        # Orphans end a moment later, and hold the shared memory until then.
        for child in $children; do
            until case $(ps -o stat= -p "$child") in '' | Z*) true ;; *) false ;; esac do sleep 0.01; done
        done
        true ;;
    *) false ;;
    esac
    echo $?
done

if [ -n "$pid" ]; then
    # A test may have ended while all of it was stopped.
    kill -CONT "$pid" $(pgrep -P "$pid")
    # At once: PostgreSQL and newer PgBouncers listen to the first signal, older PgBouncers to the second.
    kill -QUIT "$pid"
    kill -TERM "$pid"
    tries=0
    while [ $tries -lt 100 ] && is_alive; do tries=$((tries + 1)); done
    kill -KILL "$pid"
fi
# A PostgreSQL that was killed has left its lock on the folder in the system's memory.
[ -f data/postmaster.pid ] && ipcrm -m "$(awk 'NR == 7 { print $2 }' data/postmaster.pid)"
cd /
rm -rf "$folder"
