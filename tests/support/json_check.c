// What the command's tests, which are shell scripts, want to know of JSON:
//
//     json_check lines [KEY...] < lines    every line is an object that has the keys; prints their
//                                          number
//     json_check get KEY < lines           the member of each line, compact (text without quotes)
//     json_check numbers < object          names of members that are numbers or arrays of them
//     json_check set KEY VALUE < object    the object with one member set; VALUE is JSON, or "-" to
//                                          remove it
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text, size_t n, size_t line) {
    json_error_t error;
    json_t *value = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(value)) return value;
    fprintf(stderr, "json_check: line %zu: expected an object: %s\n", line,
            value ? "found something else" : error.text);
    exit(1);
}

static void print_member(const json_t *value) {
    if (json_is_string(value)) {
        puts(json_string_value(value));
        return;
    }
    json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    putchar('\n');
}

static void check_line(json_t *object, size_t line, bool print, char **keys) {
    for (; *keys; keys++) {
        const json_t *value = json_object_get(object, *keys);
        if (!value) {
            fprintf(stderr, "json_check: line %zu: no member %s\n", line, *keys);
            exit(1);
        }
        if (print) print_member(value);
    }
    json_decref(object);
}

static void check_lines(bool print, char **keys) {
    char *text = NULL;
    size_t capacity = 0, line = 0;
    for (ssize_t n; (n = getline(&text, &capacity, stdin)) > 0;) {
        line++;
        if (text[n - 1] != '\n') {
            fprintf(stderr, "json_check: line %zu: cut short\n", line);
            exit(1);
        }
        check_line(parse(text, (size_t)n, line), line, print, keys);
    }
    free(text);
    if (!print) printf("%zu\n", line);
}

static json_t *read_object(void) {
    json_error_t error;
    json_t *object = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(object)) return object;
    fprintf(stderr, "json_check: expected an object: %s\n", error.text);
    exit(1);
}

static void print_numbers(void) {
    json_t *object = read_object(), *value;
    const char *key;
    json_object_foreach(object, key, value) {
        if (json_is_number(value) || json_is_number(json_array_get(value, 0))) puts(key);
    }
    json_decref(object);
}

static void set_member(const char *key, const char *text) {
    json_t *object = read_object();
    json_error_t error;
    json_t *value = strcmp(text, "-") == 0 ? NULL : json_loads(text, JSON_DECODE_ANY, &error);
    if (!value && strcmp(text, "-") != 0) {
        fprintf(stderr, "json_check: %s: %s\n", text, error.text);
        exit(1);
    }
    json_object_del(object, key);
    if (value) json_object_set_new(object, key, value);
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "lines") == 0) {
        check_lines(false, argv + 2);
    } else if (strcmp(what, "get") == 0 && argc == 3) {
        check_lines(true, argv + 2);
    } else if (strcmp(what, "numbers") == 0 && argc == 2) {
        print_numbers();
    } else if (strcmp(what, "set") == 0 && argc == 4) {
        set_member(argv[2], argv[3]);
    } else {
        fprintf(stderr, "usage: json_check lines [KEY...] | get KEY | numbers | set KEY VALUE\n");
        return 2;
    }
    return 0;
}
