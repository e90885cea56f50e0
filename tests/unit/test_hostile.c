// Bytes from outside against every parser, on blocks of exactly their size (a sanitizer sees any
// read outside), and hostile configs and directories against plans and models.
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/hfprocessor.h"
#include "format/npy.h"
#include "plan_check.h"
#include "scratch.h"
#include "support.h"

static uint8_t *exact(const void *bytes, size_t n) {
    uint8_t *copy = make_bytes(n);
    if (n > 0) memcpy(copy, bytes, n);
    return copy;
}

static void check_status(int status, const vdt_error *error, const char *what) {
    if (status > 0 || (int)error->status != status || (status == 0) != (error->message[0] == 0) ||
        strchr(error->message, '\n')) {
        fail_msg("%s: status %d, error %d '%s'", what, status, error->status, error->message);
    }
}

/* ---- safetensors --------------------------------------------------------------------------- */

// A file of this header and n bytes of data.
static uint8_t *make_file(const char *header, size_t header_bytes, size_t n, size_t *bytes) {
    *bytes = 8 + header_bytes + n;
    uint8_t *file = make_bytes(*bytes);
    for (size_t i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)header_bytes >> 8 * i);
    memcpy(file + 8, header, header_bytes);
    memset(file + 8 + header_bytes, 0x3f, n);
    return file;
}

// Parses and reads every byte that a tensor claims.
static int try_safetensors(const uint8_t *bytes, size_t n, const char *what) {
    struct safetensors file = {0};
    vdt_error error = {0};
    const int status = safetensors_parse(&file, test_memory(), bytes, n, "F", &error);
    check_status(status, &error, what);
    if (status) {
        assert_null(file.entries);
        assert_null(file.header);
    }
    uint64_t sum = FNV_START;
    for (size_t i = 0; i < file.n; i++) {
        const struct tensor *tensor = &file.entries[i].tensor;
        assert_true(tensor->data >= bytes && tensor->n_dimensions <= TENSOR_DIMENSIONS);
        sum = fnv1a(sum, tensor->data, tensor->count * tensor->element_bytes);
        sum = fnv1a(sum, (const uint8_t *)file.entries[i].name, strlen(file.entries[i].name));
    }
    assert_true(sum != 0);
    if (!status) safetensors_free(&file);
    return status;
}

// Headers over 64 bytes of data.
static const struct {
    bool good;
    const char *header;
} headers[] = {
    {true, "{}"},
    {true, "{\"__metadata__\":{\"format\":\"pt\"}}"},
    {true, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4,4],\"data_offsets\":[0,64]}}"},
    {true, "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}   "},
    {true, "{\"a\":{\"dtype\":\"F64\",\"shape\":[0,9],\"data_offsets\":[64,64]}}"},
    {true, "{\"b\":{\"dtype\":\"BF16\",\"shape\":[16],\"data_offsets\":[32,64]},"
           "\"a\":{\"dtype\":\"I8\",\"shape\":[32],\"data_offsets\":[0,32]}}"},
    {true, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[63,64]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4,4],\"data_offsets\":[0,65]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4,4],\"data_offsets\":[4,64]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[17],\"data_offsets\":[0,68]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4,4],\"data_offsets\":[-64,0]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[-1,-1]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,0]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16,16]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0.0,16.0]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":\"0,16\"}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":{\"0\":0,\"1\":16}}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[-4],\"data_offsets\":[0,16]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4.0],\"data_offsets\":[0,16]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":\"4\",\"data_offsets\":[0,16]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[0,4]}}"},
    // 2^62 * 4 * 4 bytes is 2^66: 0 in 64 bits. 2^32 * 2^32 is 0, too.
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],"
            "\"data_offsets\":[0,0]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],"
            "\"data_offsets\":[0,0]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":"
            "[0,9223372036854775807]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}"},
    {false, "{\"a\":{\"dtype\":\"F31\",\"shape\":[4],\"data_offsets\":[0,16]}}"},
    {false, "{\"a\":{\"dtype\":null,\"shape\":[4],\"data_offsets\":[0,16]}}"},
    {false, "{\"a\":{\"shape\":[4],\"data_offsets\":[0,16]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4]}}"},
    {false, "{\"a\":[]}"},
    {false, "{\"a\":null}"},
    {false, "[]"},
    {false, "7"},
    {false, ""},
    {false, "{"},
    {false, "{}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
            "\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,32]}}"},
    {false, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
            "\"b\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[12,28]}}"},
    {false, "{\"b\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,32]},"
            "\"a\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,20]}}"},
    {false, "{\"\xff\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}"},
};
enum { HEADERS = sizeof headers / sizeof *headers };

static void test_safetensors(void **state) {
    (void)state;
    for (size_t i = 0; i < HEADERS; i++) {
        size_t n;
        uint8_t *file = make_file(headers[i].header, strlen(headers[i].header), 64, &n);
        const int status = try_safetensors(file, n, headers[i].header);
        if ((status == VDT_OK) != headers[i].good)
            fail_msg("%s: status %d", headers[i].header, status);
        // Cut anywhere, it is refused: the data that the header speaks of is gone, or the header.
        for (size_t cut = 0; cut < n; cut++) {
            uint8_t *part = exact(file, cut);
            const int cut_status = try_safetensors(part, cut, headers[i].header);
            if (cut < 8 + strlen(headers[i].header)) assert_int_equal(cut_status, VDT_ERROR_FORMAT);
            free(part);
        }
        // Any byte of it changed: whatever comes, nothing outside is read.
        for (size_t at = 0; at < n - 64; at++) {
            static const uint8_t masks[] = {0x01, 0x80, 0x10, 0xff};
            for (size_t m = 0; m < sizeof masks; m++) {
                file[at] ^= masks[m];
                try_safetensors(file, n, headers[i].header);
                file[at] ^= masks[m];
            }
        }
        free(file);
    }
}

// Lengths of the header that reach past the file, to the end of what 64 bits hold.
static void test_header_length(void **state) {
    (void)state;
    static const uint64_t lengths[] = {3,         57,         58,         100000001,     UINT32_MAX,
                                       INT64_MAX, UINT64_MAX, 1ull << 63, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint8_t bytes[65];
        memset(bytes, ' ', sizeof bytes);
        for (size_t b = 0; b < 8; b++) bytes[b] = (uint8_t)(lengths[i] >> 8 * b);
        bytes[8] = '{';
        uint8_t *file = exact(bytes, sizeof bytes);
        assert_int_equal(try_safetensors(file, sizeof bytes, "length"), VDT_ERROR_FORMAT);
        free(file);
    }
}

/* ---- json ---------------------------------------------------------------------------------- */

static int try_json(const void *text, size_t n, size_t max) {
    uint8_t *bytes = exact(text, n);
    struct json_value *root = NULL;
    vdt_error error = {0};
    const int status = json_value_parse(&root, bytes, n, max, "J", &error);
    check_status(status, &error, "json");
    assert_true((status == VDT_OK) == (root != NULL));
    json_value_free(&root);
    free(bytes);
    return status;
}

static int nested(size_t depth, char open, char close) {
    char text[2 * 1000];
    memset(text, open, depth);
    memset(text + depth, close, depth);
    return try_json(text, 2 * depth, sizeof text);
}

// clang-format off
static const char *const bad_json[] = {
    "", " ", "{", "}", "[1,]", "{\"a\":1,}", "{'a':1}", "nul", "[NaN]", "[1e999]", "[Infinity]",
    "[01]", "[1] 2", "\"\\", "[\"\\", "[\"\\u12\"]", "[\"\x80\"]", "[\"\xed\xa0\x80\"]",
    "[\"\xf8\x88\x80\x80\x80\"]", "[9223372036854775808]", "[-9223372036854775809]",
    "{\"a\":1,\"a\":2}", "[\"\\u0000\"]", "{\"\\u0000\":1}", "[\"\n\"]", "[1 2]", "[tru]",
    "\xef\xbb\xbf[]",
};
// clang-format on

static void test_json(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_json / sizeof *bad_json; i++) {
        if (try_json(bad_json[i], strlen(bad_json[i]), 1000) != VDT_ERROR_FORMAT)
            fail_msg("'%s' was not refused", bad_json[i]);
    }
    static const char good[] =
        "{\"a\":[1,-2.5e-3,true,null,\"\\\"]}\\\\\",{\"b\":{}}],\"\xc3\xa0\":"
        "\"\\ud83d\\ude00\"}";
    const size_t n = sizeof good - 1;
    assert_int_equal(try_json(good, n, n), VDT_OK);
    assert_int_equal(try_json(good, n, n - 1), VDT_ERROR_FORMAT);
    for (size_t cut = 0; cut < n; cut++) assert_int_equal(try_json(good, cut, n), VDT_ERROR_FORMAT);
    for (size_t at = 0; at < n; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char changed[sizeof good];
            memcpy(changed, good, sizeof good);
            changed[at] = (char)byte;
            try_json(changed, n, n);
        }
    }
    assert_int_equal(nested(JSON_MAX_DEPTH, '[', ']'), VDT_OK);
    assert_int_equal(nested(JSON_MAX_DEPTH + 1, '[', ']'), VDT_ERROR_FORMAT);
    assert_int_equal(nested(900, '{', '}'), VDT_ERROR_FORMAT);
    // Brackets within text nest nothing.
    static const char quoted[] =
        "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]";
    assert_int_equal(try_json(quoted, sizeof quoted - 1, 100), VDT_OK);
}

/* ---- npy ----------------------------------------------------------------------------------- */

static uint8_t *make_npy(const char *dict, int version, size_t data, size_t *n) {
    const size_t length = strlen(dict), start = version == 1 ? 10 : 12;
    *n = start + length + data;
    uint8_t *file = make_bytes(*n);
    memset(file, 7, *n);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (uint8_t)version;
    file[7] = 0;
    for (size_t i = 0; i < start - 8; i++) file[8 + i] = (uint8_t)(length >> 8 * i);
    memcpy(file + start, dict, length);
    return file;
}

static int try_npy(const uint8_t *bytes, size_t n, const char *what) {
    struct tensor array = {.count = 77};
    vdt_error error = {0};
    const int status = npy_parse_u8(&array, bytes, n, "N", &error);
    check_status(status, &error, what);
    if (status) {
        assert_int_equal(array.count, 77);
    } else {
        assert_true(array.data >= bytes && array.count <= n);
        assert_true(fnv1a(FNV_START, array.data, array.count) != 0);
    }
    return status;
}

// Headers over 24 bytes of data.
static const struct {
    int status;
    const char *dict;
} arrays[] = {
    {VDT_OK, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 3), }\n"},
    {VDT_OK, "{\"shape\":(24,),\"descr\":\"u1\",\"fortran_order\":False}"},
    {VDT_OK, "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 99), }"},
    {VDT_OK, "{'descr': '|u1', 'fortran_order': False, 'shape': (), }"},
    {VDT_ERROR_FORMAT, "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 5), }"},
    {VDT_ERROR_UNSUPPORTED, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }"},
    {VDT_ERROR_UNSUPPORTED, "{'descr': '|u1', 'fortran_order': True, 'shape': (24,), }"},
    {VDT_ERROR_FORMAT, "{'descr': '|u1', 'fortran_order': False, 'shape': "
                       "(4294967296, 4294967296), }"},
    {VDT_ERROR_FORMAT, "{'descr': '|u1', 'fortran_order': False, 'shape': "
                       "(99999999999999999999,), }"},
    {VDT_ERROR_FORMAT, "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }"},
    {VDT_ERROR_FORMAT, "{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}"},
    {VDT_ERROR_FORMAT, "{'descr': '|u1', 'fortran_order': False}"},
    {VDT_ERROR_FORMAT, "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (1,)}"},
    {VDT_ERROR_FORMAT, "{'descr': [('r', '|u1')], 'fortran_order': False, 'shape': (8,), }"},
    {VDT_ERROR_FORMAT, "{'descr': '|u1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', "},
    {VDT_ERROR_FORMAT, "{'descr': '|u1"},
    {VDT_ERROR_FORMAT, "{'descr'"},
    {VDT_ERROR_FORMAT, "{"},
    {VDT_ERROR_FORMAT, ""},
};

static void test_npy(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        for (int version = 1; version <= 3; version++) {
            size_t n;
            uint8_t *file = make_npy(arrays[i].dict, version, 24, &n);
            assert_int_equal(try_npy(file, n, arrays[i].dict), arrays[i].status);
            for (size_t cut = 0; cut < n; cut++) {
                uint8_t *part = exact(file, cut);
                try_npy(part, cut, arrays[i].dict);
                free(part);
            }
            for (size_t at = 0; at < n - 24; at++) {
                for (unsigned bit = 0; bit < 8; bit++) {
                    file[at] ^= (uint8_t)(1u << bit);
                    try_npy(file, n, arrays[i].dict);
                    file[at] ^= (uint8_t)(1u << bit);
                }
            }
            free(file);
        }
    }
}

/* ---- configs ------------------------------------------------------------------------------- */

static const char *const values[] = {"0",
                                     "1",
                                     "2",
                                     "-1",
                                     "3",
                                     "7",
                                     "8",
                                     "16",
                                     "32",
                                     "224",
                                     "256",
                                     "1024",
                                     "8192",
                                     "8193",
                                     "16384",
                                     "131072",
                                     "2147483648",
                                     "9223372036854775807",
                                     "1.5",
                                     "-0.5",
                                     "1e300",
                                     "1e-300",
                                     "true",
                                     "false",
                                     "null",
                                     "\"gelu\"",
                                     "\"text\"",
                                     "[]",
                                     "[2]",
                                     "[2,2]",
                                     "[8,16]",
                                     "[2,16,16]",
                                     "[1,1,1]",
                                     "[0,0]",
                                     "[-1,4]",
                                     "[\"a\",2]",
                                     "{}",
                                     "{\"0\":\"a\"}",
                                     "{\"0\":\"a\",\"1\":\"b\"}",
                                     "{\"0\":1}",
                                     "{\"1\":\"a\"}",
                                     "{\"shortest_edge\":30}",
                                     "{\"height\":24,\"width\":40}",
                                     "{\"height\":24}"};
enum { VALUES = sizeof values / sizeof *values };

static const char *const keys[] = {"hidden_size",
                                   "num_hidden_layers",
                                   "num_attention_heads",
                                   "intermediate_size",
                                   "hidden_act",
                                   "layer_norm_eps",
                                   "qkv_bias",
                                   "image_size",
                                   "patch_size",
                                   "num_channels",
                                   "num_frames",
                                   "tubelet_size",
                                   "use_mean_pooling",
                                   "qv_bias",
                                   "mlp_ratio",
                                   "use_swiglu_ffn",
                                   "num_register_tokens",
                                   "projection_dim",
                                   "vision_config",
                                   "id2label",
                                   "num_labels",
                                   "pooler_act",
                                   "frame_sampling_rate"};
enum { KEYS = sizeof keys / sizeof *keys };

static const char *const processor_keys[] = {"size",
                                             "crop_size",
                                             "resample",
                                             "do_resize",
                                             "do_center_crop",
                                             "do_rescale",
                                             "do_normalize",
                                             "do_pad",
                                             "rescale_factor",
                                             "offset",
                                             "image_mean",
                                             "image_std",
                                             "feature_extractor_type",
                                             "image_processor_type",
                                             "video_processor_type"};
enum { PROCESSOR_KEYS = sizeof processor_keys / sizeof *processor_keys };

// An object with some of the keys, each with any of the values. `chance` in 16 of each key.
static struct json_value *random_object(struct random *random, const char *const *names, size_t n,
                                        size_t chance) {
    char text[4096] = "{\"unused\":0";
    size_t at = strlen(text);
    for (size_t i = 0; i < n; i++) {
        if (random_size(random, 0, 15) >= chance) continue;
        at += (size_t)snprintf(text + at, sizeof text - at, ",\"%s\":%s", names[i],
                               values[random_size(random, 0, VALUES - 1)]);
    }
    snprintf(text + at, sizeof text - at, "}");
    struct json_value *root = NULL;
    vdt_error error = {0};
    if (json_value_parse(&root, (unsigned char *)text, strlen(text), sizeof text, "C", &error))
        fail_msg("%s: %s", text, error.message);
    return root;
}

static struct encoder_options random_options(struct random *random, const struct geometry *g) {
    static const size_t sides[] = {1, 8, 16, 30, 224, 256, 8192, 8193, 0, SIZE_MAX};
    struct encoder_options options = {.clips = 1,
                                      .frames = g->frames,
                                      .height = g->height,
                                      .width = g->width,
                                      .layer = ENCODER_LAST};
    options.pool = (vdt_pool)random_size(random, 0, 6);
    if (random_size(random, 0, 3) == 0) options.clips = random_size(random, 1, 4096);
    if (random_size(random, 0, 3) == 0) options.height = sides[random_size(random, 0, 9)];
    if (random_size(random, 0, 3) == 0) options.width = sides[random_size(random, 0, 9)];
    if (random_size(random, 0, 7) == 0) options.frames = sides[random_size(random, 0, 9)];
    if (random_size(random, 0, 1) == 0) options.layer = random_size(random, 0, g->blocks + 1);
    return options;
}

// Every family on random configs: an error with words, or a geometry whose sessions plan soundly.
static void test_configs(void **state) {
    (void)state;
    enum { ROUNDS = 1500, MOST_BYTES = 4 << 20 };
    struct random random = {.state = 5};
    size_t counts[4] = {0}, refused = 0;
    for (size_t f = 0; family_at(f); f++) {
        for (size_t round = 0; round < ROUNDS; round++) {
            // Few keys, so that some configs come through.
            struct json_value *root =
                random_object(&random, keys, KEYS, random_size(&random, 0, 4));
            struct geometry geometry = {0};
            struct labels labels = {0};
            vdt_error error = {0};
            struct config config = {.object = root, .file = "C", .error = &error};
            family_at(f)->configure(&geometry, &config);
            if (config.status == VDT_OK) geometry_check(&geometry, &config);
            int status = config.status;
            if (!status) status = labels_parse(&labels, test_memory(), &config);
            check_status(status, &error, family_at(f)->name);
            if (status) {
                refused++;
                assert_null(labels.names);
            } else {
                geometry.labels = labels.n;
                const struct encoder_options options = random_options(&random, &geometry);
                counts[plan_check(&geometry, &options, test_memory(), MOST_BYTES)]++;
            }
            labels_free(&labels, test_memory());
            json_value_free(&root);
        }
    }
    // All ways out were taken.
    for (size_t i = 0; i < 4; i++) assert_true(i == PLAN_TOO_LARGE || counts[i] > 0);
    assert_true(refused > 0);
}

// Small models whose workspaces are their largest parts.
static const struct {
    const char *family, *config;
} small_models[] = {
    {"videomae", "{\"hidden_size\":4,\"num_attention_heads\":2,\"num_hidden_layers\":2,"
                 "\"intermediate_size\":200,\"image_size\":16,\"patch_size\":8,"
                 "\"num_frames\":4,\"num_labels\":7}"},
    {"vivit", "{\"hidden_size\":6,\"num_attention_heads\":3,\"num_hidden_layers\":1,"
              "\"intermediate_size\":5,\"image_size\":[16,24],\"tubelet_size\":[2,8,8],"
              "\"num_frames\":4}"},
    {"vit", "{\"hidden_size\":300,\"num_attention_heads\":2,\"num_hidden_layers\":1,"
            "\"intermediate_size\":3,\"image_size\":20,\"patch_size\":5}"},
    {"deit", "{\"hidden_size\":1,\"num_attention_heads\":1,\"num_hidden_layers\":1,"
             "\"intermediate_size\":1,\"image_size\":1,\"patch_size\":1}"},
    {"dinov2", "{\"hidden_size\":8,\"num_attention_heads\":2,\"num_hidden_layers\":1,"
               "\"mlp_ratio\":20,\"use_swiglu_ffn\":true,\"image_size\":28,\"patch_size\":14}"},
    {"dinov2_with_registers", "{\"hidden_size\":4,\"num_attention_heads\":4,"
                              "\"num_hidden_layers\":1,\"mlp_ratio\":0.5,\"image_size\":9,"
                              "\"patch_size\":2,\"num_register_tokens\":3}"},
    {"siglip", "{\"hidden_size\":64,\"num_attention_heads\":1,\"num_hidden_layers\":1,"
               "\"intermediate_size\":700,\"image_size\":8,\"patch_size\":8}"},
    {"clip", "{\"hidden_size\":8,\"num_attention_heads\":2,\"num_hidden_layers\":1,"
             "\"intermediate_size\":8,\"image_size\":8,\"patch_size\":4,"
             "\"projection_dim\":500}"},
};

// Each is read out in every way.
static void test_small_plans(void **state) {
    (void)state;
    size_t filled = 0;
    for (size_t i = 0; i < sizeof small_models / sizeof *small_models; i++) {
        const unsigned char *text = (const unsigned char *)small_models[i].config;
        struct json_value *root = NULL;
        struct geometry geometry = {0};
        struct config config = {.file = "C"};
        const size_t n = strlen(small_models[i].config);
        assert_int_equal(json_value_parse(&root, text, n, n, "C", NULL), VDT_OK);
        config.object = root;
        family_find(small_models[i].family)->configure(&geometry, &config);
        geometry_check(&geometry, &config);
        assert_int_equal(config.status, VDT_OK);
        geometry.labels = config_size(&config, "num_labels", 0, 0, 100);
        for (size_t trial = 0; trial < 6 * 3 * 3; trial++) {
            const struct encoder_options options = {.clips = 1 + trial % 3 * 4,
                                                    .frames = geometry.frames,
                                                    .height = geometry.height,
                                                    .width = geometry.width,
                                                    .pool = (vdt_pool)(trial / 3 % 6),
                                                    .layer = trial < 18   ? ENCODER_LAST
                                                             : trial < 36 ? 0
                                                                          : geometry.blocks};
            filled += plan_check(&geometry, &options, test_memory(), 64 << 20) == PLAN_FILLED;
        }
        json_value_free(&root);
    }
    assert_true(filled > 8 * 6 * 3 * 3 / 2);
}

static void test_processors(void **state) {
    (void)state;
    static const size_t sides[] = {1, 2, 17, 30, 224, 8000, 16384};
    enum { ROUNDS = 6000, SIDES = sizeof sides / sizeof *sides };
    struct random random = {.state = 6};
    size_t good = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        struct json_value *root =
            random_object(&random, processor_keys, PROCESSOR_KEYS, random_size(&random, 0, 3));
        const struct family *family = family_at(random_size(&random, 0, 7));
        struct processor processor = {.height = 99};
        vdt_error error = {0};
        struct config config = {.object = root, .file = "P", .error = &error};
        const int status = processor_parse(&processor, &config, family->processor_class);
        check_status(status, &error, "processor");
        if (status) {
            assert_int_equal(processor.height, 99);
        } else {
            float table[3][256];
            size_t height = 0, width = 0;
            processor_values(&processor, table);
            for (size_t i = 0; i < 3 * 256; i++) assert_true(isfinite(table[i / 256][i % 256]));
            for (int set = 0; set < 2; set++) {
                for (size_t i = 0; i < SIDES * SIDES; i++) {
                    processor_resized_size(&processor, sides[i / SIDES], sides[i % SIDES], &height,
                                           &width);
                    assert_true(height < (size_t)1 << 44 && width < (size_t)1 << 44); // no wrap
                }
                processor_set_size(&processor, sides[random_size(&random, 0, SIDES - 1)], 224);
                assert_true(processor_output_size(&processor, &height, &width));
                assert_int_equal(width, 224);
            }
            good++;
        }
        json_value_free(&root);
    }
    assert_in_range(good, 1, ROUNDS - 1);
}

// The card's licence: any cut of any bytes.
static void test_modelcard(void **state) {
    (void)state;
    static const char card[] = "---\r\ntags:\n- a\nlicense: \"mit\" \n---\ntext\n";
    static const char *const cards[] = {card,
                                        "---\nlicense:\n",
                                        "---\nlicense: \"\"",
                                        "---",
                                        "--\nlicense: mit",
                                        "---\n\n---\nlicense: mit",
                                        "---\nlicense:''''\"\"",
                                        "\n---\nlicense: mit"};
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++) {
        for (size_t cut = 0; cut <= strlen(cards[i]); cut++) {
            uint8_t *text = exact(cards[i], cut);
            char licence[6] = "unset";
            const bool found = modelcard_licence(licence, sizeof licence, text, cut);
            assert_true(memchr(licence, '\0', sizeof licence) != NULL);
            if (i == 0 && cut == strlen(card)) assert_true(found && strcmp(licence, "mit") == 0);
            if (i > 2) assert_false(found);
            free(text);
        }
    }
}

/* ---- directories --------------------------------------------------------------------------- */

// At most a gigabyte, so that a hostile size is refused here as it is on a small machine.
static void *bounded_allocate(void *user, size_t bytes) {
    (void)user;
    return bytes > (size_t)1 << 30 ? NULL : aligned_alloc(64, bytes);
}

static void bounded_release(void *user, void *pointer, size_t bytes) {
    (void)user;
    (void)bytes;
    free(pointer);
}

static vdt_context *open_context(void) {
    vdt_context *context = NULL;
    vdt_context_options options;
    vdt_error error = {0};
    vdt_context_options_init(&options);
    options.threads = 1;
    options.allocator = (vdt_allocator){bounded_allocate, bounded_release, NULL};
    if (vdt_context_open(&context, &options, &error)) fail_msg("%s", error.message);
    return context;
}

static void in_directory(char *path, size_t path_bytes, const char *directory, const char *name) {
    assert_true((size_t)snprintf(path, path_bytes, "%s/%s", directory, name) < path_bytes);
}

static void set_member(const char *directory, const char *key, json_t *value) {
    char path[1200];
    in_directory(path, sizeof path, directory, "config.json");
    json_t *config = json_load_file(path, 0, NULL);
    assert_non_null(config);
    json_object_set_new(config, key, value);
    assert_int_equal(json_dump_file(config, path, 0), 0);
    json_decref(config);
}

// A file with gated MLPs under a config that says they are not: the first matrix is twice as high
// as the workspace is wide.
static void test_gate_mismatch(void **state) {
    (void)state;
    vdt_context *context = open_context();
    const char *directory =
        scratch_copy_directory("gate", source_path("tests/golden/v5_dinov2_swiglu"));
    vdt_model *model = NULL;
    vdt_error error = {0};
    assert_int_equal(vdt_model_open(&model, context, directory, NULL, &error), VDT_OK);
    const uint32_t width = vdt_model_info_get(model)->width_mlp;
    const uint32_t d = vdt_model_info_get(model)->width_model;
    vdt_model_close(&model);
    set_member(directory, "use_swiglu_ffn", json_false());
    set_member(directory, "mlp_ratio", json_real((double)width / d));
    assert_int_equal(vdt_model_open(&model, context, directory, NULL, &error), VDT_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "gate_proj"));
    assert_null(model);
    vdt_context_close(&context);
}

// model.safetensors with one tensor cut to a smaller shape, which the others' offsets survive.
static void shrink_tensor(const char *directory, const char *name, json_t *shape, size_t bytes) {
    char path[1200];
    size_t n, length = 0;
    in_directory(path, sizeof path, directory, "model.safetensors");
    uint8_t *file = scratch_read(path, &n);
    for (size_t i = 8; i-- > 0;) length = length << 8 | file[i];
    json_t *header = json_loadb((const char *)file + 8, length, 0, NULL);
    json_t *tensor = json_object_get(header, name);
    assert_non_null(tensor);
    json_t *offsets = json_object_get(tensor, "data_offsets");
    const json_int_t begin = json_integer_value(json_array_get(offsets, 0));
    json_object_set_new(tensor, "shape", shape);
    json_array_set_new(offsets, 1, json_integer(begin + (json_int_t)bytes));
    char *text = json_dumps(header, JSON_COMPACT);
    const size_t text_bytes = strlen(text), data = n - 8 - length;
    uint8_t *made = make_bytes(8 + text_bytes + data);
    for (size_t i = 0; i < 8; i++) made[i] = (uint8_t)(text_bytes >> 8 * i);
    memcpy(made + 8, text, text_bytes);
    memcpy(made + 8 + text_bytes, file + 8 + length, data);
    scratch_write(path, made, 8 + text_bytes + data);
    free(made);
    free(text);
    free(file);
    json_decref(header);
}

// The largest clip that a config may name needs no weight that grows with it: 2^36 tokens.
static void test_largest_clip(void **state) {
    (void)state;
    vdt_context *context = open_context();
    const char *directory =
        scratch_copy_directory("largest", source_path("tests/golden/videomae_mean"));
    shrink_tensor(directory, "videomae.embeddings.patch_embeddings.projection.weight",
                  json_pack("[iiiii]", 40, 3, 1, 1, 1), 40 * 3 * 4);
    set_member(directory, "patch_size", json_integer(1));
    set_member(directory, "tubelet_size", json_integer(1));
    char path[1200];
    in_directory(path, sizeof path, directory, "preprocessor_config.json");
    scratch_write(path, "{\"size\":{\"shortest_edge\":8192},\"crop_size\":8192}", 49);
    static const int sides[] = {32, 512, 8192}, frames[] = {4, 64, 1024};
    for (size_t i = 0; i < 3; i++) {
        vdt_model *model = NULL;
        vdt_session *session = NULL;
        vdt_error error = {0};
        char processor[128];
        snprintf(processor, sizeof processor, "{\"size\":{\"shortest_edge\":%d},\"crop_size\":%d}",
                 sides[i], sides[i]);
        scratch_write(path, processor, strlen(processor));
        set_member(directory, "image_size", json_integer(sides[i]));
        set_member(directory, "num_frames", json_integer(frames[i]));
        const int status = vdt_model_open(&model, context, directory, NULL, &error);
        check_status(status, &error, "model");
        if (status) { // too many tokens: said so
            assert_true(i > 0);
            assert_null(model);
            continue;
        }
        const vdt_model_info *info = vdt_model_info_get(model);
        const double tokens = (double)sides[i] * sides[i] * frames[i];
        assert_true((double)info->tokens == tokens);
        assert_true((double)info->macs >= tokens * tokens);
        size_t bytes = 0;
        const int estimate = vdt_session_estimate(&bytes, model, NULL, &error);
        assert_true(estimate == VDT_ERROR_MEMORY || (double)bytes > tokens * 40 * 4);
        error = (vdt_error){0};
        const int opened = vdt_session_open(&session, model, NULL, &error);
        assert_int_equal(opened, i == 0 ? VDT_OK : VDT_ERROR_MEMORY);
        vdt_session_close(&session);
        vdt_model_close(&model);
    }
    vdt_context_close(&context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors),   cmocka_unit_test(test_header_length),
        cmocka_unit_test(test_json),          cmocka_unit_test(test_npy),
        cmocka_unit_test(test_configs),       cmocka_unit_test(test_small_plans),
        cmocka_unit_test(test_processors),    cmocka_unit_test(test_modelcard),
        cmocka_unit_test(test_gate_mismatch), cmocka_unit_test(test_largest_clip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
