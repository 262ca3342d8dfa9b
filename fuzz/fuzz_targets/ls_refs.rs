#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| git_remote_sync_fuzz::bodies::ls_refs(data));
