/*
 * Load for a chat server over TLS on the loopback: load talk|login|drain|room|members NAME=VALUE…
 *
 * When all lines are in it says so in one line of JSON; then each line of standard input tells one run (NAME=VALUE…),
 * which is answered by a line "began", when its window begins, and one line of JSON, when it is over.
 */
#include "load.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

int main(int count, char **words)
{
    setlinebuf(stdout);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (count < 2)
        die("load talk|login|drain|room|members NAME=VALUE…");
    struct options options = read_options(count - 2, words + 2);
    if (!strcmp(words[1], "talk"))
        talk(&options);
    else if (!strcmp(words[1], "login"))
        login(&options);
    else if (!strcmp(words[1], "drain"))
        drain(&options);
    else if (!strcmp(words[1], "room"))
        room(&options);
    else if (!strcmp(words[1], "members"))
        members(&options);
    else
        die("%s: talk, login, drain, room or members", words[1]);
    return 0;
}
