// A callback that does not return, because of an exception or because its thread ends, is the end of the process, with a
// message that names the callback: not undefined behaviour. Each case is a child.
#include "exports.h"

#include <sys/wait.h>

#include <stdexcept>
#include <string>

namespace {

server edge;
std::string how;

void leave() {
    if (how.find("thread") != std::string::npos) pthread_exit(nullptr);
    if (how.find("number") != std::string::npos) throw 7;
    throw std::runtime_error("of the host");
}

bool here(const char *place) { return how.find(place) == 0; }

void answered(target_request, target_result, void *) {
    if (here("target_done_fn")) leave();
}
void happened(target_client, const char *, size_t, void *) {
    if (here("target_event_fn")) leave();
}
void logged(int32_t, const char *, const char *, size_t, void *) {
    if (here("target_log_fn")) leave();
}
void released(void *) {
    if (here("release")) leave();
}

[[noreturn]] void run_case() {
    alarm(10);
    OK(target_set_log(logged, nullptr, nullptr, TARGET_LOG_TRACE));
    target_client_hooks hooks{};
    hooks.size = sizeof hooks;
    hooks.on_event = happened;
    target_client client = 0;
    OK(target_client_create(edge.config, TARGET_NUL, &hooks, &client, nullptr));
    target_call call = callback_call(answered, nullptr, released);
    OK(target_get_offers_ex(client, "{", TARGET_NUL, &call, nullptr));
    sleep_ms(9000);  // ended by the callback
    _exit(0);
}

}  // namespace

int main() {
    server_start(&edge, ",\"tiemout\":1"); // worth a log record
    for (const char *place : {"target_done_fn", "target_event_fn", "target_log_fn", "release"})
        for (const char *what : {": exception", ": number", ": end of the thread"}) {
            how = std::string(place) + what;
            int said[2];
            CHECK_EQ(pipe(said), 0);
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                dup2(said[1], 2);
                close(said[0]);
                run_case();
            }
            close(said[1]);
            std::string text;
            char buffer[512];
            for (ssize_t got; (got = read(said[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(got));
            close(said[0]);
            int status = 0;
            CHECK_EQ(waitpid(child, &status, 0), child);
            bool as_told = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
            if (!as_told || text.find(std::string("(") + place + ")") == std::string::npos || text.find("target-sdk: ") != 0)
                check_failed(__FILE__, __LINE__, "%s: status %x, said: %s", how.c_str(), static_cast<unsigned>(status), text.c_str());
        }
    server_stop(&edge);
    return 0;
}
