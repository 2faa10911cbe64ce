// Static objects of a C++ host: what was constructed before the first client is destroyed after the last callback.
#include "server.h"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace {

/// Used by callbacks; touching it after its destruction is what must not happen.
struct Journal {
    std::mutex mutex;
    std::vector<std::string> lines;
    bool alive = true;

    void write(const std::string &line) {
        std::lock_guard<std::mutex> guard(mutex);
        CHECK(alive);
        lines.push_back(line);
    }
    ~Journal() {
        std::lock_guard<std::mutex> guard(mutex);
        alive = false;
        lines.clear();
    }
};

/// Owns a client; closed by a static destructor, after the main thread's thread-local objects are gone.
struct Host {
    target_client client = 0;
    bool close;

    explicit Host(bool close_it) : close(close_it) {}
    ~Host() {
        if (client == 0) return;
        long started = now_ms();
        // On a machine that is overloaded the callbacks may have had no turn when the bound of close() is over.
        if (close) {
            target_status status = target_client_close(client, 0, nullptr);
            if (status == TARGET_E_CALLBACK_STUCK) CHECK(now_ms() - started >= 200);
            else CHECK_STATUS(status, TARGET_OK);
        }
        OK(target_client_destroy(client));
        CHECK(now_ms() - started <= 200 + slack_ms());
        int32_t state;
        CHECK_STATUS(target_client_state(client, &state), TARGET_E_BAD_HANDLE);
    }
};

Journal journal;
Host closes(true), destroys(false);
server edge;

void answered(target_request, target_result result, void *user_data) {
    journal.write(target_status_name(target_result_status(result)));
    static_cast<std::string *>(user_data)->append("x");
}

void released(void *user_data) {
    journal.write("released");
    delete static_cast<std::string *>(user_data);
}

void logged(int32_t, const char *target, const char *message, size_t len, void *) {
    journal.write(std::string(target) + std::string(message, len));
}

void happened(target_client, const char *json, size_t len, void *) { journal.write(std::string(json, len)); }

struct LateCreator {
    // A client made before main() and before the objects above are used.
    target_client client = create_client(OFFLINE);
    ~LateCreator() { OK(target_client_destroy(client)); }
} made_before_main;

}  // namespace

int main(int argc, char **argv) {
    alarm(10);
    server_start(&edge, "");
    edge.delay_ms = 2;
    OK(target_set_log(logged, nullptr, nullptr, TARGET_LOG_TRACE));
    for (Host *host : {&closes, &destroys}) {
        target_client_hooks hooks{};
        hooks.size = sizeof hooks;
        hooks.on_event = happened;
        OK(target_client_create(edge.config, TARGET_NUL, &hooks, &host->client, nullptr));
        for (int i = 0; i < 64; i++) {
            auto text = std::make_unique<std::string>("some text that is too long to be kept inside of the string");
            target_call call = callback_call(answered, text.get(), released);
            OK(target_get_offers_ex(host->client, OFFERS, TARGET_NUL, &call, nullptr));
            text.release();
        }
    }
    sleep_ms(argc > 1 ? atoi(argv[1]) : 3);
    return 0;
}
