// A whole plugin in Rust, without crates. Build it with this one command, then put hello.so into the plugin directory:
//
//     rustc --edition 2021 --crate-type cdylib -C opt-level=2 -C strip=symbols -o hello.so hello.rs
//
// The structures below are those of <theseus/plugin.h>, field by field: the server reads them as C lays them out. Of
// the host's table only the beginning is needed. The arguments are jansson's, which is in every server, so its
// functions are found when the plugin is loaded.
//
// Nothing here makes a thread_local value with a destructor (std::thread::current() does, and so does a panic that is
// printed): that would keep the plugin in memory after a newer one has replaced it.
#![allow(non_upper_case_globals)]

use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int, c_uint, c_void};
use std::panic::catch_unwind;
use std::ptr::{null, null_mut};

#[repr(C)]
pub struct Json {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct Call {
    host: *const Host,
}

#[repr(C)]
pub struct Host {
    abi: u32,
    size: u32,
    reply: unsafe extern "C" fn(*mut Call, *mut Json) -> c_int,
    reply_json: unsafe extern "C" fn(*mut Call, *mut Json) -> c_int,
    reply_json_text: unsafe extern "C" fn(*mut Call, *const c_char) -> c_int,
    reply_text: unsafe extern "C" fn(*mut Call, *const c_char) -> c_int,
    reply_error: unsafe extern "C" fn(*mut Call, *const c_char) -> c_int,
}

type Handler = unsafe extern "C" fn(*mut Call, *mut c_void, *const Json) -> c_int;

#[repr(C)]
pub struct Tool {
    name: *const c_char,
    title: *const c_char,
    description: *const c_char,
    input_schema: *const c_char,
    output_schema: *const c_char,
    flags: c_uint,
    call: Option<Handler>,
    timeout: c_uint,
    reserved: [*mut c_void; 3],
}

// A slot that this plugin leaves empty.
type Slot = *const c_void;

#[repr(C)]
pub struct Plugin {
    abi: u32,
    size: u32,
    name: *const c_char,
    version: *const c_char,
    description: *const c_char,
    start: Slot,
    activate: Slot,
    selftest: Slot,
    config_schema: *const c_char,
    sections: *const c_char,
    check: Slot,
    configure: Slot,
    save: Slot,
    stop: Slot,
    migrations: *const *const c_char,
    tools: *const Tool,
    flags: c_uint,
    resources: *const c_void,
    subscribed: Slot,
}

// Constant data: any thread may read it.
unsafe impl Sync for Tool {}
unsafe impl Sync for Plugin {}

extern "C" {
    fn json_object_get(object: *const Json, key: *const c_char) -> *mut Json;
    fn json_string_value(string: *const Json) -> *const c_char;
}

const ABI: u32 = 1;
const READ_ONLY: c_uint = 1 << 0;
const IDEMPOTENT: c_uint = 1 << 2;
const INLINE: c_uint = 1 << 4;

// A string of C: the literal must end with \0.
const fn text(literal: &'static str) -> *const c_char {
    literal.as_ptr() as *const c_char
}

fn greeting(name: &str) -> String {
    format!("Hello, {}, from Rust", name)
}

// `args` has been checked against the schema below: "name" is there, and is a string. The server is C: no panic may
// leave this function.
unsafe extern "C" fn hello(call: *mut Call, _state: *mut c_void, args: *const Json) -> c_int {
    let name = CStr::from_ptr(json_string_value(json_object_get(args, text("name\0"))));
    let answer = catch_unwind(|| CString::new(greeting(&name.to_string_lossy())));
    let host = &*(*call).host;
    match answer {
        Ok(Ok(greeting)) => (host.reply_text)(call, greeting.as_ptr()),
        _ => (host.reply_error)(call, text("hello_rs: cannot greet this name\0")),
    }
}

// What clients see. The row of zeroes ends the table.
static tools: [Tool; 2] = [
    Tool {
        name: text("hello_rs\0"),
        title: text("Hello from Rust\0"),
        description: text("Use this to see a plugin in Rust at work: greets by name.\0"),
        input_schema: text(concat!(
            r#"{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}"#,
            "\0"
        )),
        output_schema: null(),
        flags: READ_ONLY | IDEMPOTENT | INLINE,
        call: Some(hello),
        timeout: 0,
        reserved: [null_mut(); 3],
    },
    Tool {
        name: null(),
        title: null(),
        description: null(),
        input_schema: null(),
        output_schema: null(),
        flags: 0,
        call: None,
        timeout: 0,
        reserved: [null_mut(); 3],
    },
];

// The one symbol that the server looks for.
#[no_mangle]
pub static theseus_plugin: Plugin = Plugin {
    abi: ABI,
    size: std::mem::size_of::<Plugin>() as u32,
    name: text("hello_rs\0"),
    version: text("1.0.0\0"),
    description: text("An example in Rust.\0"),
    start: null(),
    activate: null(),
    selftest: null(),
    config_schema: null(),
    sections: null(),
    check: null(),
    configure: null(),
    save: null(),
    stop: null(),
    migrations: null(),
    tools: tools.as_ptr(),
    flags: 0,
    resources: null(),
    subscribed: null(),
};
