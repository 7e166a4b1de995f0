//! Messages, futexes and descriptors: described in arena memory, built in memory that JavaScript never sees.

use crate::admitted::check;
use crate::common::{
    ADDR, ARENA_BYTES, BUFFER_SELECT, BUFFERS, FILE_INDEX, Fixture, HEAD, LEN, MESSAGE_CONTROL, MESSAGE_LIST,
    MESSAGE_NAME, OFF, PLAIN, REGISTERED, RESULTS, forms, title, user_data, wide,
};
use uring_core::ops::{OpSpec, Size, Way, Wide};
use uring_core::reject::Reject;
use uring_core::relocate::Words;

/// Where the description that a good record names starts.
const DESCRIBED: u32 = 64;
/// IORING_RECV_MULTISHOT and IORING_RECVSEND_FIXED_BUF in the first word.
const RECV_MULTISHOT: u32 = 1 << 17;
const FIXED_BUF: u32 = 1 << 18;

fn named(name: &str) -> &'static OpSpec {
    forms().find(|form| form.name == name).unwrap()
}

fn messages() -> impl Iterator<Item = &'static OpSpec> {
    forms().filter(|spec| matches!(spec.addr, Wide::Message(_)))
}

fn receives(spec: &OpSpec) -> bool {
    spec.addr == Wide::Message(Way::Receive)
}

fn header(words: &Words) -> *mut libc::msghdr {
    wide(words, ADDR) as *mut libc::msghdr
}

/// What the kernel does to the header of a message that it has received.
fn answer(words: &Words, name: u32, control: usize, flags: i32) {
    // SAFETY: the record was admitted and is in flight, so its header is alive.
    unsafe {
        (*header(words)).msg_namelen = name;
        (*header(words)).msg_controllen = control;
        (*header(words)).msg_flags = flags;
    }
}

#[test]
fn a_message_has_addresses_where_its_description_has_handles() {
    for spec in messages() {
        let mut fixture = Fixture::new();
        let record = fixture.good(spec);
        let words = fixture.admit(&record).unwrap();
        let results = fixture.start(RESULTS);
        let mut expected = vec![
            (results, 16),
            (fixture.start(REGISTERED) + 4096, 4096),
            (results + u64::from(MESSAGE_NAME.0), u64::from(MESSAGE_NAME.1)),
        ];
        if receives(spec) {
            let (offset, bytes) = MESSAGE_CONTROL;
            expected.push((results + u64::from(offset), u64::from(bytes)));
        }
        assert_eq!(
            check(&fixture, &record, &words).unwrap(),
            expected,
            "{}",
            spec.name
        );
        // Rewritten while the kernel has it: nothing changes.
        fixture.write(PLAIN, 0, &[0xff; 1024]);
        fixture.write(RESULTS, MESSAGE_CONTROL.0, &[0xff; 64]);
        assert_eq!(
            check(&fixture, &record, &words).unwrap(),
            expected,
            "{}",
            spec.name
        );
        fixture.tables.retract(user_data(&words));
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_message_may_have_neither_name_nor_control_data_nor_buffers() {
    for spec in messages() {
        let mut fixture = Fixture::new();
        let record = fixture.good(spec);
        fixture.write(PLAIN, DESCRIBED, &[0; 48]);
        let words = fixture.admit(&record).unwrap();
        assert_eq!(check(&fixture, &record, &words).unwrap(), [], "{}", spec.name);
        fixture.tables.retract(user_data(&words));
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn each_part_of_a_message_is_held_by_itself() {
    for spec in messages() {
        let [name, control] = [0, 3].map(|word| {
            let mut words = [0; 9];
            words[word + 2] = 8;
            (word, words)
        });
        for (word, mut words) in [name, control] {
            let mut fixture = Fixture::new();
            let record = fixture.good(spec);
            words[word + 1] = fixture.handle(REGISTERED);
            fixture.write_words(PLAIN, DESCRIBED, &words);
            fixture.admit(&record).unwrap();
            // The description stays, for the answer; of control data to send there is a copy.
            let is_held = receives(spec) || word == name.0;
            assert_eq!(
                fixture.held_after_release(),
                [true, false, is_held],
                "{} {word}",
                spec.name
            );
        }
        let mut fixture = Fixture::new();
        let record = fixture.good(spec);
        fixture.write_words(
            PLAIN,
            DESCRIBED,
            &[0, 0, 0, 0, 0, 0, MESSAGE_LIST, fixture.handle(PLAIN), 1],
        );
        fixture.write_list(PLAIN, MESSAGE_LIST, &[(fixture.handle(RESULTS), 0, 8)]);
        fixture.admit(&record).unwrap();
        assert_eq!(
            fixture.held_after_release(),
            [true, true, false],
            "{} list",
            spec.name
        );
    }
}

#[test]
fn one_bad_part_refuses_the_whole_message_and_pins_nothing() {
    for spec in messages() {
        let mut fixture = Fixture::new();
        let record = fixture.good(spec);
        let bad = [
            (0, ARENA_BYTES - 15, Reject::OutOfBounds),
            (1, fixture.stale, Reject::StaleMemory),
            (2, u32::MAX, Reject::OutOfBounds),
            (3, u32::MAX, Reject::OutOfBounds),
            (4, 0, Reject::StaleMemory),
            (5, ARENA_BYTES, Reject::OutOfBounds),
            (6, ARENA_BYTES - 31, Reject::OutOfBounds),
            (7, fixture.stale, Reject::StaleMemory),
            (8, 1025, Reject::BadField),
            (8, u32::MAX, Reject::BadField),
        ];
        for (word, value, reject) in bad {
            fixture.good(spec);
            fixture.write_words(PLAIN, DESCRIBED + 4 * word, &[value]);
            assert_eq!(fixture.refusal(&record), reject, "{} word {word}", spec.name);
        }
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn control_data_to_send_is_a_copy_in_which_no_message_can_hold_an_address() {
    const SOL_RDS: u32 = 276;
    let (at, bytes) = MESSAGE_CONTROL;
    for spec in messages() {
        let mut fixture = Fixture::new();
        let record = fixture.good(spec);
        let bad: [(&[u32], Reject); 4] = [
            // struct rds_rdma_args holds addresses (include/uapi/linux/rds.h).
            (&[bytes, 0, SOL_RDS, 1], Reject::CouldBeAddress),
            (&[16, 0, 1, 1, 48, 0, SOL_RDS, 1], Reject::CouldBeAddress),
            (&[bytes + 1, 0, 1, 1], Reject::BadField),
            (&[bytes, 1, 1, 1], Reject::BadField),
        ];
        for (words, reject) in bad {
            fixture.write(RESULTS, at, &[0; 64]);
            fixture.write_words(RESULTS, at, words);
            match fixture.admit(&record) {
                Ok(admitted) if receives(spec) => fixture.tables.retract(user_data(&admitted)),
                result => assert_eq!(result, Err(reject), "{} {words:?}", spec.name),
            }
        }
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn control_data_to_send_has_64_kib_at_most() {
    let mut fixture = Fixture::new();
    let large = fixture.tables.arenas.create(65_544, None).unwrap();
    let record = fixture.good(named("sendmsg"));
    // SAFETY: the length of the first message, at the start of a mapping that is alive; level and type follow.
    let set_length = |bytes: u64| unsafe {
        large.mapping.start().cast::<u64>().write(bytes);
        large.mapping.start().cast::<u64>().add(1).write(1 << 32 | 1);
    };
    for (bytes, expected) in [(65_536, None), (65_537, Some(Reject::BadField))] {
        set_length(u64::from(bytes));
        fixture.write_words(PLAIN, DESCRIBED + 12, &[0, large.handle, bytes]);
        let admitted = fixture.admit(&record);
        assert_eq!(admitted.as_ref().err().copied(), expected);
        if let Ok(words) = admitted {
            fixture.tables.retract(user_data(&words));
        }
    }
}

#[test]
fn what_the_kernel_answers_to_a_received_message_is_written_where_it_was_described() {
    let mut fixture = Fixture::new();
    for (spec, select) in [
        (named("recvmsg"), false),
        (named("recvmsg"), true),
        (named("sendmsg"), false),
    ] {
        let mut record = fixture.good(spec);
        if select {
            record[HEAD] |= BUFFER_SELECT;
            record[BUFFERS] = u32::from(fixture.group);
            fixture.write_words(PLAIN, DESCRIBED + 32, &[1]);
        }
        let words = fixture.admit(&record).unwrap();
        answer(&words, 9, 24, libc::MSG_TRUNC);
        assert!(fixture.tables.complete(user_data(&words), 1, 0).is_some());
        let answered = fixture.read_words::<3>(PLAIN, DESCRIBED + 36);
        let expected = if receives(spec) {
            [9, 24, libc::MSG_TRUNC as u32]
        } else {
            [0; 3]
        };
        assert_eq!(answered, expected, "{} {select}", spec.name);
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_message_that_is_received_again_and_again_is_answered_inside_its_buffers() {
    let mut fixture = Fixture::new();
    let mut record = fixture.good(named("recvmsg"));
    record[HEAD] |= BUFFER_SELECT | RECV_MULTISHOT;
    record[BUFFERS] = u32::from(fixture.group);
    fixture.write_words(PLAIN, DESCRIBED + 32, &[0]);
    let words = fixture.admit(&record).unwrap();
    for more in [1 << 1, 0] {
        answer(&words, 9, 24, libc::MSG_TRUNC);
        assert!(fixture.tables.complete(user_data(&words), 1, more).is_some());
        assert_eq!(fixture.read_words::<3>(PLAIN, DESCRIBED + 36), [0; 3]);
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_message_into_a_group_of_buffers_names_one_buffer_at_most() {
    let mut fixture = Fixture::new();
    let mut record = fixture.good(named("recvmsg"));
    record[HEAD] |= BUFFER_SELECT;
    record[BUFFERS] = u32::from(fixture.group);
    assert_eq!(fixture.refusal(&record), Reject::BadField);
    fixture.assert_nothing_is_held();
}

#[test]
fn a_list_in_one_registered_arena_uses_the_registered_buffer() {
    let mut fixture = Fixture::new();
    let registered = fixture.handle(REGISTERED);
    let inside = [(registered, 0, 8), (registered, 64, 8)];
    let lists = |spec: &&OpSpec| matches!(spec.addr, Wide::Iovecs | Wide::Message(_));
    for spec in forms().filter(lists) {
        let record = fixture.good(spec);
        let list = if spec.addr == Wide::Iovecs {
            DESCRIBED
        } else {
            MESSAGE_LIST
        };
        fixture.write_list(PLAIN, list, &inside);
        let words = fixture.admit(&record).unwrap();
        let uses = words[BUFFERS] == registered - 1;
        let expected = match spec.name {
            "readv" => words[HEAD] & 0xff == 60,
            "writev" => words[HEAD] & 0xff == 61,
            "sendmsgZc" => words[HEAD] & FIXED_BUF != 0,
            _ => words[HEAD] == record[HEAD] && !uses,
        };
        assert!(expected, "{}: {:#x}", title(spec), words[HEAD]);
        assert_eq!(
            uses,
            spec.fixed_form.is_some() || spec.fixed_flag != 0,
            "{}",
            title(spec)
        );
        fixture.tables.retract(user_data(&words));
        // Half of it elsewhere: the ordinary form.
        fixture.write_list(PLAIN, list, &[inside[0], (fixture.handle(RESULTS), 64, 8)]);
        let words = fixture.admit(&record).unwrap();
        assert_eq!(
            (words[HEAD], words[BUFFERS]),
            (record[HEAD], 0),
            "{}",
            title(spec)
        );
        fixture.tables.retract(user_data(&words));
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn the_fixed_form_of_lists_insists_on_one_registered_arena() {
    let mut fixture = Fixture::new();
    for spec in forms().filter(|spec| spec.addr == Wide::RegisteredIovecs) {
        let record = fixture.good(spec);
        let words = fixture.admit(&record).unwrap();
        assert_eq!(words[BUFFERS], fixture.handle(REGISTERED) - 1, "{}", spec.name);
        fixture.tables.retract(user_data(&words));
        let [plain, registered] = [PLAIN, REGISTERED].map(|arena| (fixture.handle(arena), 0, 8));
        for list in [[plain, registered], [registered, plain], [plain, plain]] {
            fixture.write_list(PLAIN, DESCRIBED, &list);
            assert_eq!(fixture.refusal(&record), Reject::NotRegistered, "{}", spec.name);
        }
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn futexes_are_words_in_live_arenas_with_the_flags_of_a_word() {
    let mut fixture = Fixture::new();
    let spec = named("futexWaitv");
    let record = fixture.good(spec);
    let words = fixture.admit(&record).unwrap();
    let expected = [
        (fixture.start(RESULTS) + 4, 4),
        (fixture.start(REGISTERED) + 8, 4),
    ];
    assert_eq!(check(&fixture, &record, &words).unwrap(), expected);
    fixture.tables.retract(user_data(&words));
    let bad = [
        (2, ARENA_BYTES - 3, Reject::OutOfBounds),
        (3, fixture.stale, Reject::StaleMemory),
        // FUTEX2_SIZE_U64, and FUTEX2_NUMA, with which the kernel would use the word behind.
        (4, 3, Reject::BadField),
        (4, 2 | 4, Reject::BadField),
    ];
    for (word, value, reject) in bad {
        fixture.good(spec);
        fixture.write_words(PLAIN, DESCRIBED + 4 * word, &[value]);
        assert_eq!(fixture.refusal(&record), reject, "word {word}");
    }
    for count in [0, 129, 255] {
        let mut record = fixture.good(spec);
        record[LEN] = count;
        assert_eq!(fixture.refusal(&record), Reject::BadField, "{count} futexes");
    }
    for name in ["futexWait", "futexWake"] {
        let mut record = fixture.good(named(name));
        for flags in [0, 3, 2 | 4, u32::MAX] {
            record[1] = flags;
            assert_eq!(fixture.refusal(&record), Reject::BadField, "{name} {flags}");
        }
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn sizes_that_stand_in_other_fields_bound_the_memory() {
    let mut fixture = Fixture::new();
    let all = |spec: &OpSpec| {
        [
            (OFF, spec.off),
            (ADDR, spec.addr),
            (crate::common::ADDR3, spec.addr3),
        ]
    };
    let mut seen = 0;
    for spec in forms() {
        for (at, kind) in all(spec) {
            let (Wide::Memory(size) | Wide::Optional(size)) = kind else {
                continue;
            };
            let (field, values) = match size {
                Size::Off => (OFF, [ARENA_BYTES - 63, u32::MAX]),
                Size::AddressLength => (FILE_INDEX, [ARENA_BYTES + 1, 0xffff]),
                Size::OptionLength => (FILE_INDEX, [ARENA_BYTES - 511, u32::MAX]),
                Size::Buffers => (LEN, [ARENA_BYTES / 4, 1 << 30]),
                Size::EpollEvents => (LEN, [ARENA_BYTES / 12, 0x1555_5556]),
                Size::Len | Size::Const(_) => continue,
            };
            for value in values {
                let mut record = fixture.good(spec);
                record[field] = value;
                let reject = fixture.refusal(&record);
                let is_bound = matches!(reject, Reject::OutOfBounds | Reject::BadField);
                assert!(is_bound, "{} word {at}: {reject:?}", title(spec));
                seen += 1;
            }
        }
    }
    assert!(seen >= 16, "{seen} sizes");
    // A length of 64 bits is not cut down to 32.
    let mut record = fixture.good(named("connect"));
    record[OFF + 1] = 1;
    assert_eq!(fixture.refusal(&record), Reject::BadField);
    fixture.assert_nothing_is_held();
}
