# Bad inputs, lying files, memory that runs out, signals; the fuzz targets with their kept corpora.

add_library(test_media_writer STATIC support/make_media.c support/scratch.c)
target_include_directories(test_media_writer PUBLIC support)
target_link_libraries(test_media_writer PUBLIC vidette_flags PkgConfig::LIBAV)

add_library(test_plan_check STATIC support/plan_check.c)
target_link_libraries(test_plan_check PUBLIC test_support)

foreach(name media reader hostile allocation)
    add_vidette_test(test_${name} unit/test_${name}.c)
    target_link_libraries(test_${name} PRIVATE test_media_writer)
endforeach()
target_link_libraries(test_hostile PRIVATE test_plan_check PkgConfig::JANSSON)

# ---- the command: shell scripts over programs that make and read files

add_executable(make_media support/make_media_main.c)
target_link_libraries(make_media PRIVATE test_media_writer)
add_executable(edit_safetensors support/edit_safetensors.c support/scratch.c)
target_link_libraries(edit_safetensors PRIVATE vidette_flags PkgConfig::JANSSON)
add_executable(json_check support/json_check.c)
target_link_libraries(json_check PRIVATE vidette_flags PkgConfig::JANSSON)
add_executable(picture_check support/picture_check.c)
target_link_libraries(picture_check PRIVATE vidette_flags PkgConfig::LIBAV PkgConfig::JANSSON)
set(VIDETTE_CLI_TESTS bad_input contract demo reduction stream view view_stream)
if(NOT VIDETTE_SANITIZE STREQUAL "thread") # a thousand models that one thread reads and refuses
    list(APPEND VIDETTE_CLI_TESTS bad_model)
endif()
foreach(name IN LISTS VIDETTE_CLI_TESTS)
    add_test(NAME cli_${name} COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/cli/${name}.sh
        $<TARGET_FILE:vidette> ${PROJECT_SOURCE_DIR} $<TARGET_FILE:make_media>)
    set_tests_properties(cli_${name} PROPERTIES TIMEOUT 1200 COST 10) # the longest: they start first
endforeach()

# ---- fuzz targets: a plain main() replays each kept corpus; with clang and VIDETTE_FUZZ=ON they are libFuzzer's, too

set(VIDETTE_FUZZ_TARGETS safetensors config npy plan reduce)
add_library(test_fuzz STATIC fuzz/fuzz.c fuzz/tiny_model.c)
target_include_directories(test_fuzz PUBLIC fuzz)
target_link_libraries(test_fuzz PUBLIC test_plan_check PkgConfig::JANSSON)
foreach(name IN LISTS VIDETTE_FUZZ_TARGETS)
    add_vidette_test(replay_${name} fuzz/fuzz_${name}.c ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
    target_sources(replay_${name} PRIVATE fuzz/replay_main.c)
    target_link_libraries(replay_${name} PRIVATE test_fuzz)
endforeach()
add_executable(make_corpus fuzz/make_corpus.c $<TARGET_OBJECTS:vidette_objects>)
target_link_libraries(make_corpus PRIVATE test_fuzz)

if(VIDETTE_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang" OR NOT VIDETTE_SANITIZE MATCHES "address")
        message(FATAL_ERROR "VIDETTE_FUZZ wants clang, whose libFuzzer it links, and VIDETTE_SANITIZE=address,undefined")
    endif()
    # The library's own code is counted; the counters' functions are in the sanitizers' runtime and in libFuzzer.
    target_compile_options(vidette_objects PRIVATE -fsanitize=fuzzer-no-link)
    foreach(name IN LISTS VIDETTE_FUZZ_TARGETS)
        add_executable(fuzz_${name} fuzz/fuzz_${name}.c $<TARGET_OBJECTS:vidette_objects>)
        target_link_libraries(fuzz_${name} PRIVATE test_fuzz -fsanitize=fuzzer)
    endforeach()
endif()
