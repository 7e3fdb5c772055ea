#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| two_buckets_fuzz::post_form(bytes));
