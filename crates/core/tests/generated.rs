//! The TypeScript constants are written from the Rust tables. `URING_UPDATE=1 cargo test -p uring-core` writes
//! them; without it the test says whether they are current.

use std::fmt::Write as _;
use std::path::PathBuf;
use uring_core::ops::{Multishot, ResultKind, all};
use uring_core::probe::{ENTER_FLAGS, SQE_FLAGS};
use uring_core::register::opcode::REGISTRATIONS;
use uring_core::reject::REJECTS;
use uring_core::shared::{
    EXTRA_IS_EVENT, EXTRA_IS_FILE_EVENT, EXTRA_IS_LOCAL, EXTRA_IS_PARCEL_EVENT, EXTRA_IS_TAG_EVENT,
    LARGE_COMPLETION_WORDS, RECORD_WORDS, RECYCLE_CAPACITY, WORDS,
};
use uring_core::split::BATCH;
use uring_core::uapi::SETUP_FLAGS;

const HEAD: &str = "// Written by crates/core/tests/generated.rs from the Rust tables; do not edit.\n\n";

fn ops_module() -> String {
    let mut out = String::from(HEAD);
    out.push_str("/** Operation numbers, by name. */\nexport const Op = {\n");
    for op in all() {
        writeln!(out, "  {}: {},", op.name, op.opcode).unwrap();
    }
    out.push_str("} as const;\n\n");
    out.push_str("/** What is known of an operation besides its number. */\nexport interface OpInfo {\n");
    out.push_str("  readonly name: keyof typeof Op;\n");
    out.push_str("  /** First kernel that has it. */\n  readonly kernel: string;\n");
    out.push_str("  readonly result: 'nothing' | 'bytes' | 'count' | 'descriptor' | 'pollEvents';\n");
    out.push_str("  readonly multishot: boolean;\n");
    out.push_str("  /** A second completion says when the kernel has let go of the memory. */\n");
    out.push_str("  readonly notifies: boolean;\n}\n\n");
    out.push_str("/** Rows of the table of operations, by number. */\n");
    out.push_str("export const opInfo: Readonly<Record<number, OpInfo>> = {\n");
    for op in all() {
        let result = match op.result {
            ResultKind::Nothing => "nothing",
            ResultKind::Bytes => "bytes",
            ResultKind::Count => "count",
            ResultKind::Descriptor => "descriptor",
            ResultKind::PollEvents => "pollEvents",
        };
        let multishot = op.multishot != Multishot::Never;
        let notifies = op.notifies;
        let row = format!(
            "name: '{}', kernel: '{}', result: '{result}', multishot: {multishot}, notifies: {notifies}",
            op.name, op.kernel
        );
        writeln!(out, "  {}: {{ {row} }},", op.opcode).unwrap();
    }
    out.push_str("};\n");
    out
}

fn abi_module() -> String {
    let mut out = String::from(HEAD);
    let version = env!("CARGO_PKG_VERSION");
    write!(
        out,
        "/** Version of the package. */\nexport const VERSION = '{version}';\n\n"
    )
    .unwrap();
    out.push_str(
        "/** Indexes of the control words at the start of the shared block. */\nexport const Word = {\n",
    );
    for (name, word) in WORDS {
        writeln!(out, "  {name}: {},", word as usize).unwrap();
    }
    out.push_str("} as const;\n\n/** Why Rust refused an operation record. */\nexport const Reject = {\n");
    for (name, reject) in REJECTS {
        writeln!(out, "  {name}: {},", reject as u16).unwrap();
    }
    out.push_str(
        "} as const;\n\n/** Setup flags of a ring (`IORING_SETUP_*`). */\nexport const SetupFlags = {\n",
    );
    for (bit, name) in SETUP_FLAGS.iter().enumerate() {
        writeln!(out, "  {name}: 1 << {bit},").unwrap();
    }
    out.push_str("} as const;\n\n");
    writeln!(out, "export const RECORD_WORDS = {RECORD_WORDS};").unwrap();
    writeln!(
        out,
        "/** Words of a completion record in a ring with large completions. */"
    )
    .unwrap();
    writeln!(
        out,
        "export const LARGE_COMPLETION_WORDS = {LARGE_COMPLETION_WORDS};"
    )
    .unwrap();
    writeln!(out, "export const RECYCLE_CAPACITY = {RECYCLE_CAPACITY};").unwrap();
    out.push_str("/** As many free indexes as one call of a submitting half hands out. */\n");
    writeln!(out, "export const FREED_BATCH = {BATCH};").unwrap();
    out.push_str("/** Bit of a completion record's fourth word: Rust made it, with the reason in the low 16 bits. */\n");
    writeln!(out, "export const EXTRA_IS_LOCAL = {EXTRA_IS_LOCAL};").unwrap();
    writeln!(out, "export const EXTRA_LOW_MASK = 0xffff;").unwrap();
    out.push_str("/** It belongs to no operation: a message of another ring, one that put a file into a slot, or a tag. */\n");
    writeln!(out, "export const EXTRA_IS_EVENT = {EXTRA_IS_EVENT};").unwrap();
    writeln!(out, "export const EXTRA_IS_FILE_EVENT = {EXTRA_IS_FILE_EVENT};").unwrap();
    writeln!(out, "export const EXTRA_IS_TAG_EVENT = {EXTRA_IS_TAG_EVENT};").unwrap();
    writeln!(
        out,
        "export const EXTRA_IS_PARCEL_EVENT = {EXTRA_IS_PARCEL_EVENT};"
    )
    .unwrap();
    out.push_str(
        "/** Where an event's number has its upper 21 bits. */\nexport const EXTRA_NUMBER_MASK = 0x1fffff;\n",
    );
    out
}

fn registrations_module() -> String {
    let mut out = String::from(HEAD);
    out.push_str("/** A registration of io_uring_register(2). */\nexport interface Registration {\n");
    out.push_str("  readonly number: number;\n");
    out.push_str("  /** First kernel that has it. */\n  readonly kernel: string;\n");
    out.push_str("  /** Where it stands in this package. */\n  readonly method: string;\n}\n\n");
    out.push_str("/** Registrations, by their names in the man page without `IORING_`. */\n");
    out.push_str("export const registrations = {\n");
    for one in REGISTRATIONS {
        let row = format!(
            "number: {}, kernel: '{}', method: '{}'",
            one.number, one.kernel, one.method
        );
        writeln!(out, "  {}: {{ {row} }},", one.name).unwrap();
    }
    out.push_str("} as const satisfies Record<string, Registration>;\n");
    for (name, comment, names) in [
        ("ENTER_FLAGS", "`IORING_ENTER_*`", &ENTER_FLAGS[..]),
        ("SQE_FLAGS", "`IOSQE_*`", &SQE_FLAGS[..]),
    ] {
        write!(out, "\n/** {comment}, in the order of their bits from 0 on. */\n").unwrap();
        writeln!(out, "export const {name} = [").unwrap();
        for flag in names {
            writeln!(out, "  '{flag}',").unwrap();
        }
        out.push_str("] as const;\n");
    }
    out
}

fn registrations_page() -> String {
    let mut out = String::from(
        "# Registrations\n\nWhat io_uring_register(2) can be asked, and where it stands in this package. Written by \
         `crates/core/tests/generated.rs`\nfrom the table in `crates/core/src/register/opcode.rs`; do not edit.\n\n\
         | Number | Registration | Since Linux | Here |\n| ---: | --- | --- | --- |\n",
    );
    for one in REGISTRATIONS {
        let (method, note) = match one.method.split_once(" (as ") {
            Some((method, other)) => (method, format!(", as `{}`", other.trim_end_matches(')'))),
            None => (one.method, String::new()),
        };
        writeln!(
            out,
            "| {} | `{}` | {} | `{method}`{note} |",
            one.number, one.name, one.kernel
        )
        .unwrap();
    }
    out.push_str(
        "\n`Registrar` is `ring.registrar`. `registerZeroCopyReceive` always refuses, and says what would be needed.\n",
    );
    out
}

#[test]
fn the_typescript_tables_are_what_the_rust_tables_say() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../ts/generated");
    for (name, expected) in [
        ("ops.ts", ops_module()),
        ("abi.ts", abi_module()),
        ("registrations.ts", registrations_module()),
        ("../../docs/registrations.md", registrations_page()),
    ] {
        let path = folder.join(name);
        if std::env::var_os("URING_UPDATE").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "{} is out of date: run URING_UPDATE=1 cargo test -p uring-core",
            path.display()
        );
    }
}
