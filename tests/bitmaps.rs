//! The commands of bitmaps against the real binary: replies in both protocols, what breaks a WATCH, and the limits of a
//! string. The transcript is the reference server's (8.0.2).

mod support;

use support::transcript::{breaks_watch, follow};
use support::{Process, our_binary};

#[test]
fn bitmaps_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, include_str!("transcripts/bitmaps.txt"));
    }
}

#[test]
fn the_newer_operations_of_bitop_are_those_of_8_2() {
    let server = Process::start(&our_binary(), &[]);
    let transcript = r#"
        BITFIELD x SET u8 0 240 => *[:0]
        BITFIELD y SET u8 0 204 => *[:0]
        BITFIELD z SET u16 0 43690 => *[:0]
        BITOP DIFF d x y z => :2
        BITFIELD d GET u16 0 => *[:4096]
        BITOP diff1 d x y z => :2
        BITFIELD d GET u16 0 => *[:3754]
        BITOP ANDOR d x y z => :2
        BITFIELD d GET u16 0 => *[:57344]
        BITOP ONE d x y z => :2
        BITFIELD d GET u16 0 => *[:5802]
        BITOP ONE d x => :1
        BITFIELD d GET u8 0 => *[:240]
        BITOP DIFF d nokey y => :1
        BITCOUNT d => :0
        BITOP DIFF1 d nokey y => :1
        BITFIELD d GET u8 0 => *[:204]
        BITOP DIFF d x => -ERR BITOP DIFF must be called with at least two source keys.
        BITOP diff1 d x => -ERR BITOP DIFF1 must be called with at least two source keys.
        BITOP ANDOR d x => -ERR BITOP ANDOR must be called with at least two source keys.
        BITOP DIFF d nokey nokey2 => :0
        EXISTS d => :0
    "#;
    follow(&mut server.client(), 2, transcript);
}

#[test]
fn a_watch_breaks_when_bits_change_and_only_then() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for request in [
        "SETBIT k 7 1",
        "SETBIT k 70 0",
        "BITFIELD k SET u8 0 7",
        "BITFIELD k INCRBY u8 0 1",
        "BITFIELD k SET u8 200 0",
        "BITOP NOT k k",
        "BITOP AND k nokey",
    ] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    follow(&mut client, 2, "SETBIT k 7 1 => :0");
    for request in [
        "SETBIT k 7 1",
        "SETBIT k 3 0",
        "BITFIELD k SET u8 0 1",
        "BITFIELD k GET u8 0",
        "BITFIELD k OVERFLOW FAIL INCRBY u2 0 9",
        "BITCOUNT k",
        "BITPOS k 1",
        "BITOP AND nokey nokey2",
    ] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}

#[test]
fn long_strings_grow_by_bits_up_to_the_limit() {
    let server = Process::start(&our_binary(), &["--proto-max-bulk-len", "1mb"]);
    let transcript = r#"
        SETBIT k 8388607 1 => :0
        SETBIT k 8388608 1 => -ERR bit offset is not an integer or out of range
        GETBIT k 8388608 => -ERR bit offset is not an integer or out of range
        STRLEN k => :1048576
        BITCOUNT k => :1
        BITPOS k 1 => :8388607
        BITPOS k 1 0 -2 => :-1
        SETBIT k 300000 1 => :0
        BITPOS k 1 => :300000
        BITCOUNT k 300001 8388606 BIT => :0
        BITOP NOT d k => :1048576
        BITCOUNT d => :8388606
        BITPOS d 0 => :300000
        SETBIT j 300000 1 => :0
        SETBIT j 800000 1 => :0
        BITCOUNT j => :2
        BITOP ONE d k j => :1048576
        BITCOUNT d => :2
    "#;
    follow(&mut server.client(), 2, transcript);
}
