/* Writes down what the library sends and decides, under a locale and a time zone: it must be the same everywhere.
 * Arguments: the locale; a rules artifact; the file to write. The time zone is that of the environment. */
#include "exports.h"

#include <ctype.h>
#include <dlfcn.h>
#include <locale.h>
#include <sys/uio.h>

static char sent[1 << 20];
static size_t sent_size;
static pthread_mutex_t sent_lock = PTHREAD_MUTEX_INITIALIZER;

static bool of_the_library(void *caller) {
    Dl_info info;
    return dladdr(caller, &info) != 0 && info.dli_fname != NULL && strstr(info.dli_fname, "libtarget_sdk") != NULL;
}

static void note(const void *bytes, size_t size) {
    pthread_mutex_lock(&sent_lock);
    CHECK(sent_size + size < sizeof sent);
    memcpy(sent + sent_size, bytes, size);
    sent_size += size;
    pthread_mutex_unlock(&sent_lock);
}

#define REAL(name, ...) \
    static __VA_ARGS__; \
    if (real == NULL) { \
        void *symbol = dlsym(RTLD_NEXT, name); \
        memcpy(&real, &symbol, sizeof real); \
    }

/* What the library calls to write to a connection. */
ssize_t send(int fd, const void *bytes, size_t size, int flags) {
    REAL("send", ssize_t (*real)(int, const void *, size_t, int))
    ssize_t done = real(fd, bytes, size, flags);
    if (done > 0 && of_the_library(__builtin_return_address(0))) note(bytes, (size_t)done);
    return done;
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    REAL("writev", ssize_t (*real)(int, const struct iovec *, int))
    ssize_t done = real(fd, pieces, count);
    if (done > 0 && of_the_library(__builtin_return_address(0))) {
        size_t left = (size_t)done;
        for (int i = 0; i < count && left > 0; i++) {
            size_t size = pieces[i].iov_len < left ? pieces[i].iov_len : left;
            note(pieces[i].iov_base, size);
            left -= size;
        }
    }
    return done;
}

/* It is always the same time. */
int clock_gettime(clockid_t id, struct timespec *out) {
    REAL("clock_gettime", int (*real)(clockid_t, struct timespec *))
    int status = real(id, out);
    if (id == CLOCK_REALTIME && of_the_library(__builtin_return_address(0))) {
        out->tv_sec = 1800000000;
        out->tv_nsec = 0;
    }
    return status;
}

/* What differs from run to run: 32 hexadecimal digits with or without dashes, how long something took, the port. */
static void write_without_chance(FILE *out, const char *text, size_t size) {
    for (size_t i = 0; i < size;) {
        size_t length = 0, digits = 0;
        while (i + length < size && digits < 33 && (isxdigit((unsigned char)text[i + length]) || (digits > 0 && text[i + length] == '-')))
            digits += text[i + length++] != '-';
        if (digits == 32) {
            fputs("<id>", out);
            i += length;
        } else if (strncmp(text + i, "127.0.0.1:", 10) == 0) {
            fputs("<edge>", out);
            for (i += 10; i < size && isdigit((unsigned char)text[i]);) i++;
        } else if (strncmp(text + i, "execution\":", 11) == 0 || strncmp(text + i, "parsing\":", 9) == 0) {
            while (i < size && text[i] != ':') fputc(text[i++], out);
            fputs(":<time>", out);
            while (i < size && text[i] != ',' && text[i] != '}') i++;
        } else {
            fputc(text[i++], out);
        }
    }
    fputc('\n', out);
}

static char *read_all(const char *path) {
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    char *text = (char *)calloc(1, 1 << 20);
    CHECK(text != NULL);
    CHECK(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

/* I, i, numbers with a fraction, and times: what locales and time zones change. */
static const char *const requests[] = {
    "{\"sessionId\":\"s1\",\"request\":{\"id\":{\"tntId\":\"TITLE.28_0\",\"thirdPartyId\":\"I\xc4\xb0i\xc4\xb1\"},\"context\":{\"channel\":\"web\","
    "\"timeOffsetInMinutes\":-330.5,\"geo\":{\"latitude\":-12.5,\"longitude\":1234.0625,\"countryCode\":\"TR\"},"
    "\"address\":{\"url\":\"https://EXAMPLE.com/INDEX?I=i&x=1,5\"},\"userAgent\":\"Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X)\"},"
    "\"execute\":{\"mboxes\":[{\"index\":1,\"name\":\"homepage-hero\",\"parameters\":{\"TITLE\":\"I\",\"price\":\"1234.5\",\"\xc3\x9c\":\"\xc3\x9f\"},"
    "\"order\":{\"id\":\"o\",\"total\":1234567.25,\"purchasedProductIds\":[\"I\"]}}]}}}",
    "{\"sessionId\":\"s2\",\"request\":{\"id\":{\"tntId\":\"abc.28_0\"},\"context\":{\"channel\":\"web\",\"userAgent\":\"Mozilla/5.0 (Windows NT 10.0) Firefox/115.0\","
    "\"address\":{\"url\":\"http://i.example.com/\"}},\"execute\":{\"pageLoad\":{\"parameters\":{\"big\":\"1e3\"}},\"mboxes\":["
    "{\"index\":1,\"name\":\"a1-serverside-ab\"},{\"index\":2,\"name\":\"demo-engineering-flags\",\"parameters\":{\"NIGHTLY\":\"INDIGO\"}},"
    "{\"index\":3,\"name\":\"checkout-banner\",\"parameters\":{\"cartValue\":\"99.95\",\"total\":\"1.234,5\"}}]},\"prefetch\":{\"views\":[{}]}}}",
    "{\"sessionId\":\"s3\",\"request\":{\"id\":{\"tntId\":\"xyz.28_0\"},\"execute\":{\"mboxes\":[{\"index\":1,\"name\":\"nope\"},"
    "{\"index\":2,\"name\":\"a1-serverside-ab\"}]}}}"};

int main(int argc, char **argv) {
    CHECK_EQ(argc, 4);
    if (setlocale(LC_ALL, argv[1]) == NULL) check_failed(__FILE__, __LINE__, "there is no locale %s", argv[1]);
    tzset();
    FILE *out = fopen(argv[3], "we");
    CHECK(out != NULL);
    server edge;
    server_start(&edge, ",\"timeout\":20000");
    target_client online = create_client(edge.config);
    char *artifact = read_all(argv[2]);
    char *config = (char *)malloc(strlen(artifact) + 1024);
    CHECK(config != NULL);
    sprintf(config, "{\"client\":\"demo\",\"organizationId\":\"0123456789ABCDEF01234567@AdobeOrg\",\"decisioningMethod\":\"on-device\","
                    "\"offline\":true,\"pollingInterval\":0,\"telemetryEnabled\":false,\"artifactPayload\":%s}", artifact);
    target_client on_device = create_client(config);
    OK(target_client_wait_ready(on_device, 10000));
    int decided = 0;
    for (int i = 0; i < 3; i++)
        for (int c = 0; c < 2; c++) {
            target_result answer = 0;
            target_status status = target_get_offers_sync(c ? on_device : online, requests[i], TARGET_NUL, 10000, &answer);
            const char *json;
            size_t len;
            OK(target_result_json(answer, &json, &len));
            fprintf(out, "%d %s\n", i, target_status_name(status));
            write_without_chance(out, json, len);
            decided += status == TARGET_OK;
            OK(target_result_free(answer));
        }
    CHECK(decided >= 5);
    OK(target_client_destroy(online));
    OK(target_client_destroy(on_device));
    OK(target_shutdown(10000));
    CHECK(sent_size > 1000);
    write_without_chance(out, sent, sent_size);
    CHECK_EQ(fclose(out), 0);
    server_stop(&edge);
    free(artifact);
    free(config);
    return 0;
}
