// The parsers on well-formed input: what they must accept and how they read it. Hostile input has
// its own tests.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/hfprocessor.h"
#include "format/npy.h"
#include "support.h"

static struct json_value *parse(const char *text) {
    struct json_value *root = NULL;
    vdt_error error = {0};
    if (json_value_parse(&root, (const unsigned char *)text, strlen(text), 1 << 20, "text",
                         &error)) {
        fail_msg("%s", error.message);
    }
    return root;
}

static void fields_are_typed_and_in_range(void **state) {
    (void)state;
    struct json_value *root = parse(
        "{\"n\": 12, \"x\": 0.5, \"flag\": true, \"s\": \"t\", \"none\": null, \"pair\": [3, 4], "
        "\"deep\": {\"m\": 7}}");
    vdt_error error = {0};
    struct config config = {.object = root, .file = "f", .error = &error};
    size_t pair[2];
    assert_int_equal(config_size(&config, "n", 1, 1, 20), 12);
    assert_int_equal(config_size(&config, "absent", 5, 1, 20), 5);
    assert_int_equal(config_size(&config, "none", 6, 1, 20), 6);
    assert_true(config_number(&config, "x", 0.0, 0.0, 1.0) == 0.5);
    assert_true(config_number(&config, "n", 0.0, 0.0, 100.0) == 12.0);
    assert_true(config_bool(&config, "flag", false));
    assert_string_equal(config_string(&config, "s", ""), "t");
    config_sizes(&config, "pair", pair, 2, 1, 1, 10);
    assert_int_equal(pair[1], 4);
    config_sizes(&config, "n", pair, 2, 1, 1, 20);
    assert_int_equal(pair[0], 12);
    struct config deep = config_object(&config, "deep");
    assert_int_equal(config_size(&deep, "m", 1, 1, 20), 7);
    assert_int_equal(config.status, VDT_OK);
    config_size(&config, "n", 1, 13, 20);
    assert_string_equal(error.message, "f: n: expected 13..20, found 12");
    config_size(&config, "s", 1, 1, 20); // the first failure stays
    assert_string_equal(error.message, "f: n: expected 13..20, found 12");
    json_value_free(&root);
}

static void labels_come_by_index(void **state) {
    (void)state;
    struct json_value *root = parse("{\"id2label\": {\"2\": \"c\", \"0\": \"a\", \"1\": \"b\"}}");
    struct config config = {.object = root, .file = "f"};
    struct labels labels;
    assert_int_equal(labels_parse(&labels, test_memory(), &config), VDT_OK);
    assert_int_equal(labels.n, 3);
    assert_string_equal(labels.names[2], "c");
    labels_free(&labels, test_memory());
    json_value_free(&root);
    root = parse("{\"num_labels\": 2}");
    config = (struct config){.object = root, .file = "f"};
    assert_int_equal(labels_parse(&labels, test_memory(), &config), VDT_OK);
    assert_string_equal(labels.names[1], "LABEL_1");
    labels_free(&labels, test_memory());
    json_value_free(&root);
}

static void licences_are_found(void **state) {
    (void)state;
    static const struct {
        const char *card, *licence;
    } cases[] = {
        {"---\nlicense: mit\n---\n# Model", "mit"},
        {"---\r\ntags:\r\n- a\r\nlicense: \"cc-by-nc-4.0\" \r\n---\r\n", "cc-by-nc-4.0"},
        {"---\ntags: x\n---\nlicense: mit\n", NULL},
        {"license: mit\n", NULL},
        {"", NULL},
        {"---\nlicense:", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char licence[32];
        const size_t bytes = strlen(cases[i].card);
        unsigned char *card = make_bytes(bytes); // exact: no final zero
        memcpy(card, cases[i].card, bytes);
        const bool found = modelcard_licence(licence, sizeof licence, card, bytes);
        assert_int_equal(found, cases[i].licence != NULL);
        if (found) assert_string_equal(licence, cases[i].licence);
        free(card);
    }
}

static struct processor parse_processor(const char *text, const char *family_class) {
    struct json_value *root = parse(text);
    vdt_error error = {0};
    struct config config = {.object = root, .file = "f", .error = &error};
    struct processor processor;
    if (processor_parse(&processor, &config, family_class)) fail_msg("%s", error.message);
    json_value_free(&root);
    return processor;
}

static void processors_read_sizes_as_their_class_does(void **state) {
    (void)state;
    struct processor p = parse_processor("{\"size\": 384}", "ViT");
    assert_int_equal(p.resize, RESIZE_EXACT);
    assert_int_equal(p.width, 384);
    p = parse_processor("{\"size\": 320, \"image_processor_type\": \"CLIPFeatureExtractor\"}",
                        "ViT");
    assert_int_equal(p.resize, RESIZE_SHORTEST_EDGE);
    assert_true(p.crop && p.resample == RESAMPLE_BICUBIC);
    p = parse_processor("{\"size\": {\"height\": 10, \"width\": 20}, \"do_center_crop\": null, "
                        "\"crop_size\": null}",
                        "VideoMAE");
    assert_false(p.crop);
    assert_int_equal(p.width, 20);
    p = parse_processor("{\"do_rescale\": false, \"do_normalize\": false, \"do_resize\": false}",
                        "Vivit");
    assert_true(p.scale == 1.0 && !p.offset && p.std[1] == 1.0 && p.resize == RESIZE_NONE);
    size_t height, width;
    processor_resized_size(&p, 11, 22, &height, &width);
    assert_int_equal(height, 11);
    processor_defaults(&p, "VideoMAEImageProcessor");
    processor_resized_size(&p, 1080, 1920, &height, &width); // int(224 * 1920 / 1080) = 398
    assert_int_equal(height, 224);
    assert_int_equal(width, 398);
    processor_resized_size(&p, 333, 100, &height, &width);
    assert_int_equal(height, 745);
    assert_int_equal(width, 224);
}

static void processors_change_their_size(void **state) {
    (void)state;
    struct processor p;
    size_t height, width;
    processor_defaults(&p, "DeiTImageProcessor"); // 256 exactly, then a crop of 224
    processor_set_size(&p, 448, 448);
    assert_true(processor_output_size(&p, &height, &width));
    assert_int_equal(height, 448);
    assert_int_equal(p.height, 512);
    processor_defaults(&p, "ViTImageProcessor");
    processor_set_size(&p, 96, 64);
    assert_true(processor_output_size(&p, &height, &width));
    assert_int_equal(height * 1000 + width, 96064);
}

static void values_follow_the_reference(void **state) {
    (void)state;
    struct processor p;
    float values[3][256];
    processor_defaults(&p, "VivitImageProcessor");
    processor_values(&p, values);
    assert_true(values[0][0] == -3.0f); // offset and normalisation both: [-3, 1]
    assert_true(fabsf(values[2][255] - 1.0f) < 1e-6f);
}

// A NumPy file in memory, of exactly the size it claims.
static unsigned char *make_npy(size_t *bytes, const char *header, size_t data_bytes, int version) {
    const size_t length = strlen(header), start = version == 1 ? 10 : 12;
    *bytes = start + length + data_bytes;
    unsigned char *file = make_bytes(*bytes);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)version;
    file[7] = 0;
    file[8] = (unsigned char)length;
    file[9] = (unsigned char)(length >> 8);
    if (version > 1) file[10] = file[11] = 0;
    memcpy(file + start, header, length);
    for (size_t i = 0; i < data_bytes; i++) file[start + length + i] = (unsigned char)i;
    return file;
}

static void arrays_are_read(void **state) {
    (void)state;
    static const char *const headers[] = {
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 1, 3), }\n",
        "{\"shape\":(2,3,1,3),\"fortran_order\":False,\"descr\":\"|u1\"}",
        "{'descr': 'u1', 'fortran_order': False, 'shape': (2, 3, 1, 3,)}     \n",
    };
    for (size_t i = 0; i < 3; i++) {
        for (int version = 1; version <= 3; version++) {
            size_t bytes;
            unsigned char *file = make_npy(&bytes, headers[i], 18, version);
            struct tensor array;
            vdt_error error = {0};
            if (npy_parse_u8(&array, file, bytes, "a.npy", &error)) fail_msg("%s", error.message);
            assert_int_equal(array.n_dimensions, 4);
            assert_int_equal(array.shape[1], 3);
            assert_int_equal(array.data[17], 17);
            free(file);
        }
    }
}

static void written_headers_are_numpys(void **state) {
    (void)state;
    char header[VDT_NPY_HEADER];
    assert_int_equal(vdt_npy_header(header, (size_t[]){7}, 1, NULL), VDT_OK);
    assert_memory_equal(
        header,
        "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }", 67);
    assert_int_equal(header[127], '\n');
    assert_int_equal(vdt_npy_header(header, (size_t[]){1, 2, 3}, 3, NULL), VDT_OK);
    assert_non_null(strstr(header + 10, "(1, 2, 3), }"));
    assert_int_equal(vdt_npy_header(header, (size_t[]){1, 2, 3, 4, 5, 6}, 6, NULL),
                     VDT_ERROR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_typed_and_in_range),
        cmocka_unit_test(labels_come_by_index),
        cmocka_unit_test(licences_are_found),
        cmocka_unit_test(processors_read_sizes_as_their_class_does),
        cmocka_unit_test(processors_change_their_size),
        cmocka_unit_test(values_follow_the_reference),
        cmocka_unit_test(arrays_are_read),
        cmocka_unit_test(written_headers_are_numpys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
