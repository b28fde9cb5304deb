//! The places where Lua is entered below its safe binding: the function by which a script calls the server (the hot path:
//! no references, no copies but one), functions that raise any value as an error, and a bound on patterns, whose matcher
//! recurses on the C stack. Knows no command.
//!
//! Lua reports an error by jumping over the frames between. So no frame of ours may own anything while it asks Lua for
//! something that can fail: what a call needs is kept outside of it, where its door leads.

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Result, Table, Value};
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Most nested arrays that a reply may have.
const MAX_DEPTH: u32 = 1000;
/// Most arguments of a function that is called through the binding: it keeps few values at a time.
const MAX_ARGS: c_int = 2000;
/// Longest pattern of `string.find` and its kin, bytes.
const MAX_PATTERN_BYTES: usize = 16 * 1024;
/// Most results of `unpack`: more than the stack can hold.
const MAX_RESULTS: i32 = 8000;

/// The arguments of a call, on Lua's stack.
pub struct CallArgs<'a> {
    state: *mut lua_State,
    count: c_int,
    lua: std::marker::PhantomData<&'a ()>,
}

/// One of them.
pub enum CallArg<'a> {
    /// A string.
    Bytes(&'a [u8]),
    /// A number.
    Number(f64),
    /// Something that is no word of a command.
    Other,
}

impl<'a> CallArgs<'a> {
    /// How many.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = CallArg<'a>> + use<'_, 'a> {
        (1..=self.count).map(|index| {
            // SAFETY: the index is one of the arguments, which stay where they are during the call. A number is not asked
            // for as a string, which would turn it into one; so nothing allocates, and the bytes live as the argument.
            unsafe {
                match ffi::lua_type(self.state, index) {
                    ffi::LUA_TNUMBER => CallArg::Number(ffi::lua_tonumber(self.state, index)),
                    ffi::LUA_TSTRING => {
                        let mut len = 0;
                        let start = ffi::lua_tolstring(self.state, index, &mut len);
                        CallArg::Bytes(std::slice::from_raw_parts(start.cast(), len))
                    }
                    _ => CallArg::Other,
                }
            }
        })
    }
}

/// What runs a call: it is given the arguments, and writes the reply in the wire's form (RESP).
type Run = dyn Fn(&CallArgs<'_>, &mut Vec<u8>);

struct Inner {
    run: Box<Run>,
    reply: UnsafeCell<Vec<u8>>,
}

/// Functions that go from Lua into the server, through `run`: arguments are a command's words, the result its reply as a
/// Lua value. An error reply is a table; the first function raises it, the second returns it.
///
/// # Errors
/// Memory.
pub fn doors(lua: &Lua, run: impl Fn(&CallArgs<'_>, &mut Vec<u8>) + 'static) -> Result<(Function, Function)> {
    let mut inner = Some(Box::new(Inner { run: Box::new(run), reply: UnsafeCell::default() }));
    // SAFETY: the binding guards the calls; what is pushed is what each next one takes. The pointer is handed over last,
    // when nothing can fail any more, and belongs to the userdata from then on; till then it is owned out here.
    unsafe {
        lua.exec_raw((), |state| {
            let place = ffi::lua_newuserdata(state, size_of::<*mut Inner>()).cast::<*mut Inner>();
            place.write(std::ptr::null_mut());
            ffi::lua_createtable(state, 0, 1);
            ffi::lua_pushcclosure(state, close, 0);
            set_field(state, c"__gc");
            ffi::lua_setmetatable(state, -2);
            for raises in [1, 0] {
                ffi::lua_pushvalue(state, 1);
                ffi::lua_pushboolean(state, raises);
                ffi::lua_pushcclosure(state, call, 2);
            }
            ffi::lua_remove(state, 1);
            if let Some(inner) = inner.take() {
                place.write(Box::into_raw(inner));
            }
        })
    }
}

/// The end of what a door leads to: the collector found that no function uses it any more.
///
/// # Safety
/// Called by Lua's collector with the userdata that `doors` made.
unsafe extern "C-unwind" fn close(state: *mut lua_State) -> c_int {
    // SAFETY: the place holds null or what `doors` gave away; it is taken once.
    unsafe {
        let place = ffi::lua_touserdata(state, 1).cast::<*mut Inner>();
        let inner = place.replace(std::ptr::null_mut());
        if !inner.is_null() {
            drop(Box::from_raw(inner));
        }
    }
    0
}

/// `redis.call` and `redis.pcall`.
///
/// # Safety
/// Called by Lua as a closure that `doors` made.
unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: the first upvalue is the userdata of `doors`, which lives as long as the function and holds its pointer. The
    // reply is borrowed by this call alone: what runs inside never calls this state again. A panic is caught before Lua's frames. From the first push
    // on this frame owns nothing, so Lua may jump over it.
    unsafe {
        let inner = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)).cast::<*mut Inner>().read();
        let reply = (*inner).reply.get();
        (*reply).clear();
        let args = CallArgs { state, count: ffi::lua_gettop(state), lua: std::marker::PhantomData };
        let ran = catch_unwind(AssertUnwindSafe(|| ((*inner).run)(&args, &mut *reply)));
        if let Err(panic) = ran {
            // The server's own fault: told as an error; the message was logged where it happened.
            drop(panic);
            (*reply).clear();
            (*reply).extend_from_slice(b"-ERR the command failed\r\n");
        }
        let bytes: *const [u8] = (*reply).as_slice();
        let mut rest = &*bytes;
        let is_error = rest.first() == Some(&b'-');
        // The arguments make room for the result: there may be as many of them as the stack can hold.
        ffi::lua_settop(state, 0);
        push_reply(state, &mut rest, MAX_DEPTH);
        if is_error && ffi::lua_toboolean(state, ffi::lua_upvalueindex(2)) != 0 {
            ffi::lua_error(state);
        }
        1
    }
}

/// The next line of a reply, without its end.
fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
    let (line, after) = rest.split_at(end);
    *rest = after.get(2..).unwrap_or_default();
    line
}

/// The next `len` bytes of a reply, and the line end behind them.
fn body<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (body, after) = rest.split_at(len.min(rest.len()));
    *rest = after.get(2..).unwrap_or_default();
    body
}

fn number(text: &[u8]) -> i64 {
    crate::base::number::parse_i64(text).unwrap_or(0)
}

/// # Safety
/// `state` has room for one value more.
unsafe fn push_bytes(state: *mut lua_State, bytes: &[u8]) {
    // SAFETY: Lua copies the bytes.
    unsafe { ffi::lua_pushlstring(state, bytes.as_ptr().cast(), bytes.len()) };
}

/// # Safety
/// A table and a value lie on top of the stack; `name` ends with a zero byte.
unsafe fn set_field(state: *mut lua_State, name: &'static std::ffi::CStr) {
    // SAFETY: the caller's.
    unsafe { ffi::lua_setfield(state, -2, name.as_ptr()) };
}

/// A table with one field of text.
///
/// # Safety
/// A state that is running.
unsafe fn push_tagged(state: *mut lua_State, name: &'static std::ffi::CStr, text: &[u8]) {
    // SAFETY: the table is made here.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        push_bytes(state, text);
        set_field(state, name);
    }
}

/// Pushes the reply that `rest` begins with.
///
/// # Safety
/// `state` is running in a C function; the callers' frames own nothing.
unsafe fn push_reply(state: *mut lua_State, rest: &mut &[u8], depth: u32) {
    // SAFETY: the stack is checked for what is pushed below; every table is filled at the top, where it was made.
    unsafe {
        if depth == 0 || ffi::lua_checkstack(state, 8) == 0 {
            ffi::lua_pushnil(state);
            return;
        }
        let head = line(rest);
        let (kind, text) = head.split_first().map_or((b'_', head), |(kind, text)| (*kind, text));
        match kind {
            b'$' | b'*' if text == b"-1" => ffi::lua_pushboolean(state, 0),
            b'$' => push_bytes(state, body(rest, number(text) as usize)),
            b':' => ffi::lua_pushnumber(state, number(text) as f64),
            b'+' => push_tagged(state, c"ok", text),
            b'-' => push_error(state, text),
            b'*' | b'>' => push_array(state, rest, number(text), depth),
            b'#' => ffi::lua_pushboolean(state, c_int::from(text == b"t")),
            b',' => {
                ffi::lua_createtable(state, 0, 1);
                ffi::lua_pushnumber(state, crate::base::float::parse_double(text).unwrap_or(f64::NAN));
                set_field(state, c"double");
            }
            b'(' => push_tagged(state, c"big_number", text),
            b'=' => push_verbatim(state, body(rest, number(text) as usize)),
            b'%' => push_map(state, rest, number(text), depth),
            b'~' => push_set(state, rest, number(text), depth),
            b'|' => {
                // An attribute goes before what it is about; scripts see only that.
                for _ in 0..2 * number(text) {
                    push_reply(state, rest, depth - 1);
                    ffi::lua_settop(state, -2);
                }
                push_reply(state, rest, depth - 1);
            }
            _ => ffi::lua_pushnil(state),
        }
    }
}

/// # Safety
/// As `push_reply`.
unsafe fn push_error(state: *mut lua_State, text: &[u8]) {
    // SAFETY: the table is made here, and the strings are joined on Lua's side: nothing is owned here.
    unsafe {
        ffi::lua_createtable(state, 0, 2);
        if text.contains(&b' ') {
            push_bytes(state, text);
        } else {
            push_bytes(state, b"ERR ");
            push_bytes(state, text);
            ffi::lua_concat(state, 2);
        }
        set_field(state, c"err");
        ffi::lua_pushboolean(state, 1);
        set_field(state, c"ignore_error_stats_update");
    }
}

/// # Safety
/// As `push_reply`.
unsafe fn push_array(state: *mut lua_State, rest: &mut &[u8], count: i64, depth: u32) {
    // SAFETY: the caller has checked the stack.
    unsafe {
        ffi::lua_createtable(state, count.clamp(0, 1 << 24) as c_int, 0);
        for index in 1..=count {
            push_reply(state, rest, depth - 1);
            ffi::lua_rawseti(state, -2, index);
        }
    }
}

/// # Safety
/// As `push_reply`.
unsafe fn push_map(state: *mut lua_State, rest: &mut &[u8], count: i64, depth: u32) {
    // SAFETY: the caller has checked the stack. A key that is no value (nil, NaN) can't be one: such a pair is left out.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_createtable(state, 0, count.clamp(0, 1 << 24) as c_int);
        for _ in 0..count {
            push_reply(state, rest, depth - 1);
            push_reply(state, rest, depth - 1);
            match ffi::lua_type(state, -2) {
                ffi::LUA_TNIL => ffi::lua_settop(state, -3),
                _ => ffi::lua_rawset(state, -3),
            }
        }
        set_field(state, c"map");
    }
}

/// # Safety
/// As `push_reply`.
unsafe fn push_set(state: *mut lua_State, rest: &mut &[u8], count: i64, depth: u32) {
    // SAFETY: as for a map.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_createtable(state, 0, count.clamp(0, 1 << 24) as c_int);
        for _ in 0..count {
            push_reply(state, rest, depth - 1);
            match ffi::lua_type(state, -1) {
                ffi::LUA_TNIL => ffi::lua_settop(state, -2),
                _ => {
                    ffi::lua_pushboolean(state, 1);
                    ffi::lua_rawset(state, -3);
                }
            }
        }
        set_field(state, c"set");
    }
}

/// # Safety
/// As `push_reply`.
unsafe fn push_verbatim(state: *mut lua_State, body: &[u8]) {
    let (format, text) = body.split_at(body.len().min(4));
    // SAFETY: the caller has checked the stack.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_createtable(state, 0, 2);
        push_bytes(state, &format[..format.len().min(3)]);
        set_field(state, c"format");
        push_bytes(state, text);
        set_field(state, c"string");
        set_field(state, c"verbatim_string");
    }
}

/// What a run of a script begins with: values of one state.
pub struct Entry {
    /// Given the error value of what fails; gives the one to be told.
    pub handler: Function,
    /// Functions by number.
    pub bodies: Table,
    /// Where scripts find KEYS and ARGV.
    pub globals: Table,
}

/// Runs the function of a number with two lists of words: as globals KEYS and ARGV, or as its arguments. Whether it
/// succeeded, and its value or the error.
///
/// # Errors
/// Memory.
pub fn run(
    lua: &Lua,
    entry: &Entry,
    id: i64,
    as_arguments: bool,
    words: [&mut dyn ExactSizeIterator<Item = &[u8]>; 2],
) -> Result<(bool, Value)> {
    // SAFETY: 1, 2 and 3 are the entry's values; what is pushed is what each next call takes. The stack is checked for
    // it: a fresh frame has room for 20 values. The frame owns nothing: the words are borrowed.
    unsafe {
        lua.exec_raw((&entry.handler, &entry.bodies, &entry.globals), |state| {
            for list in words {
                ffi::lua_createtable(state, list.len().min(1 << 24) as c_int, 0);
                let mut index = 0;
                for word in list {
                    index += 1;
                    push_bytes(state, word);
                    ffi::lua_rawseti(state, -2, index);
                }
            }
            // 4 and 5 are the lists.
            ffi::lua_rawgeti(state, 2, id);
            let mut args = 0;
            if as_arguments {
                ffi::lua_pushvalue(state, 4);
                ffi::lua_pushvalue(state, 5);
                args = 2;
            } else {
                for (name, list) in [(&b"KEYS"[..], 4), (b"ARGV", 5)] {
                    push_bytes(state, name);
                    ffi::lua_pushvalue(state, list);
                    ffi::lua_rawset(state, 3);
                }
            }
            let status = ffi::lua_pcall(state, args, 1, 1);
            ffi::lua_pushboolean(state, c_int::from(status == ffi::LUA_OK));
            ffi::lua_replace(state, 1);
            ffi::lua_replace(state, 2);
            ffi::lua_settop(state, 2);
        })
    }
}

/// A function that raises what `f` says: the first result of `f` tells whether to raise the second; else the results after
/// the first are the function's own.
///
/// # Errors
/// Memory.
pub fn raising(lua: &Lua, f: Function) -> Result<Function> {
    // SAFETY: the closure takes `f`, the only value pushed, as its upvalue; the binding guards the call.
    unsafe { lua.exec_raw(f, |state| ffi::lua_pushcclosure(state, raise, 1)) }
}

/// # Safety
/// Called by Lua as a closure with one function.
unsafe extern "C-unwind" fn raise(state: *mut lua_State) -> c_int {
    // SAFETY: this frame owns nothing; the stack holds the function and its arguments, then its results, of which there is
    // at least one.
    unsafe {
        let count = ffi::lua_gettop(state);
        if count > MAX_ARGS {
            return ffi::luaL_error(state, c"too many arguments".as_ptr());
        }
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, count, ffi::LUA_MULTRET);
        if ffi::lua_toboolean(state, 1) != 0 {
            ffi::lua_settop(state, 2);
            ffi::lua_error(state);
        }
        ffi::lua_gettop(state) - 1
    }
}

/// # Safety
/// Called by Lua as a closure that `wrap` made.
unsafe extern "C-unwind" fn matched(state: *mut lua_State) -> c_int {
    // SAFETY: looking at an argument changes nothing; the frame owns nothing.
    unsafe {
        if ffi::lua_type(state, 2) == ffi::LUA_TSTRING && ffi::lua_objlen(state, 2) > MAX_PATTERN_BYTES {
            return ffi::luaL_error(state, c"malformed pattern (too long)".as_ptr());
        }
        inner(state)
    }
}

/// A function like `f`, a C function without upvalues that changes its first argument, which may not be a read-only
/// table: one whose metatable has a field `__guarded`.
///
/// # Errors
/// Memory.
pub fn refusing_guarded(lua: &Lua, f: Function) -> Result<Function> {
    wrap(lua, f, unguarded)
}

/// A function like `f`, which is `unpack`: not more results than the stack can hold, however the bounds are written.
///
/// # Errors
/// Memory.
pub fn bounded_unpack(lua: &Lua, f: Function) -> Result<Function> {
    wrap(lua, f, unpack)
}

/// A function like `f`, a C function without upvalues that takes a pattern as its second argument, which may not be
/// longer than the matcher's recursion can bear.
///
/// # Errors
/// Memory.
pub fn bounded_pattern(lua: &Lua, f: Function) -> Result<Function> {
    wrap(lua, f, matched)
}

/// A closure of `outer` with the address of the C function `f`, or null.
fn wrap(lua: &Lua, f: Function, outer: ffi::lua_CFunction) -> Result<Function> {
    // SAFETY: what is pushed becomes the closure's upvalue. A value that is no C function gives null, for which `inner`
    // has a case.
    unsafe {
        lua.exec_raw(f, |state| {
            let inner = ffi::lua_tocfunction(state, -1).map_or(std::ptr::null_mut(), |f| f as *mut c_void);
            ffi::lua_pushlightuserdata(state, inner);
            ffi::lua_pushcclosure(state, outer, 1);
            ffi::lua_replace(state, -2);
        })
    }
}

/// Runs the wrapped function in this very frame, so that its errors speak of the right place.
///
/// # Safety
/// Called last by a closure that `wrap` made.
unsafe fn inner(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalue is null or was a C function's address in `wrap`.
    unsafe {
        let inner = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1));
        if inner.is_null() {
            return 0;
        }
        let inner: unsafe extern "C-unwind" fn(*mut lua_State) -> c_int = std::mem::transmute(inner);
        inner(state)
    }
}

/// # Safety
/// Called by Lua as a closure that `wrap` made.
unsafe extern "C-unwind" fn unguarded(state: *mut lua_State) -> c_int {
    // SAFETY: this frame owns nothing; what it pushes it takes away again.
    unsafe {
        if ffi::lua_type(state, 1) == ffi::LUA_TTABLE && ffi::lua_getmetatable(state, 1) != 0 {
            push_bytes(state, b"__guarded");
            ffi::lua_rawget(state, -2);
            if ffi::lua_toboolean(state, -1) != 0 {
                push_bytes(state, b"Attempt to modify a readonly table");
                ffi::lua_error(state);
            }
            ffi::lua_settop(state, -3);
        }
        inner(state)
    }
}

/// # Safety
/// Called by Lua as a closure that `wrap` made.
unsafe extern "C-unwind" fn unpack(state: *mut lua_State) -> c_int {
    // SAFETY: reading arguments as numbers changes nothing; the frame owns nothing.
    unsafe {
        if ffi::lua_gettop(state) > 1 && ffi::lua_type(state, 1) == ffi::LUA_TTABLE {
            let is_given = |index| ffi::lua_type(state, index) > ffi::LUA_TNIL;
            let first = if is_given(2) { ffi::lua_tonumber(state, 2) } else { 1.0 };
            let last = if is_given(3) { ffi::lua_tonumber(state, 3) } else { ffi::lua_objlen(state, 1) as f64 };
            let bound = f64::from(i32::MAX);
            // Past 32 bits Lua would compute with something else than what was written.
            if last - first >= f64::from(MAX_RESULTS) || !(first.abs() < bound && last.abs() < bound) {
                return ffi::luaL_error(state, c"too many results to unpack".as_ptr());
            }
        }
        inner(state)
    }
}

/// The metatable that all strings share.
///
/// # Errors
/// Memory.
pub fn string_metatable(lua: &Lua) -> Result<Value> {
    // SAFETY: a string is pushed, and its metatable in its place; there is one, since the library is loaded.
    unsafe {
        lua.exec_raw((), |state| {
            push_bytes(state, b"");
            if ffi::lua_getmetatable(state, -1) == 0 {
                ffi::lua_pushnil(state);
            }
        })
        .map(|(_, metatable): (Value, Value)| metatable)
    }
}
