use super::*;
use io_uring::IoUring;
use std::fs::File;
use std::os::fd::AsRawFd;

fn registrar(ring: &IoUring) -> Registrar {
    Registrar::new(ring.as_raw_fd())
}

fn table(ours: u32, kernels: u32) -> (IoUring, FileTable) {
    let ring = IoUring::new(4).unwrap();
    let table = FileTable::register(ours, kernels, &[], registrar(&ring)).unwrap();
    (ring, table)
}

#[test]
fn a_handle_goes_stale_when_its_slot_is_cleared_or_set_again() {
    let (ring, mut table) = table(2, 0);
    let file = File::open("/dev/null").unwrap();
    let first = table.alloc(file.as_raw_fd(), 0, registrar(&ring)).unwrap();
    assert_eq!(table.resolve(first), Ok(0));
    let second = table.set(0, file.as_raw_fd(), 0, registrar(&ring)).unwrap();
    assert_eq!(table.resolve(first), Err(Reject::StaleFile));
    assert_eq!(table.resolve(second), Ok(0));
    table.clear(second, registrar(&ring)).unwrap();
    assert_eq!(table.resolve(second), Err(Reject::StaleFile));
    assert_eq!(
        table.clear(second, registrar(&ring)).unwrap_err().raw_os_error(),
        Some(libc::EBADF)
    );
}

#[test]
fn a_full_range_says_enfile_and_gives_a_slot_again_after_one_is_cleared() {
    let (ring, mut table) = table(2, 2);
    let file = File::open("/dev/null").unwrap();
    let registrar = registrar(&ring);
    let first = table.alloc(file.as_raw_fd(), 0, registrar).unwrap();
    table.alloc(file.as_raw_fd(), 0, registrar).unwrap();
    let full = table.alloc(file.as_raw_fd(), 0, registrar).unwrap_err();
    assert_eq!(full.raw_os_error(), Some(libc::ENFILE));
    table.clear(first, registrar).unwrap();
    assert_eq!(table.resolve(table.handle(0)), Err(Reject::StaleFile));
    assert_eq!(
        table
            .alloc(file.as_raw_fd(), 0, registrar)
            .map(|handle| handle & 0xfffff)
            .unwrap(),
        0
    );
    assert_eq!(table.in_use(), 2);
}

#[test]
fn a_bad_descriptor_takes_no_slot() {
    let (ring, mut table) = table(1, 0);
    let bad = table.alloc(9999, 0, registrar(&ring)).unwrap_err();
    assert_eq!(bad.raw_os_error(), Some(libc::EBADF));
    let file = File::open("/dev/null").unwrap();
    assert!(table.alloc(file.as_raw_fd(), 0, registrar(&ring)).is_ok());
}

#[test]
fn the_list_of_free_slots_does_not_grow_when_slots_are_used_by_number() {
    let (ring, mut table) = table(2, 0);
    let file = File::open("/dev/null").unwrap();
    for _ in 0..100 {
        table.begin_fill(1).unwrap();
        let handle = table.end_fill(1, true);
        table.clear(handle, registrar(&ring)).unwrap();
        let handle = table.set(0, file.as_raw_fd(), 0, registrar(&ring)).unwrap();
        table.clear(handle, registrar(&ring)).unwrap();
        assert!(table.alloc(9999, 0, registrar(&ring)).is_err());
    }
    assert_eq!(table.free.len(), 2);
    table.alloc(file.as_raw_fd(), 0, registrar(&ring)).unwrap();
    table.alloc(file.as_raw_fd(), 0, registrar(&ring)).unwrap();
    assert_eq!((table.in_use(), table.free.len()), (2, 0));
}

#[test]
fn a_slot_that_the_kernel_filled_again_survives_the_late_news_of_its_emptying() {
    let (_ring, mut table) = table(0, 1);
    let first = table.filled_by_kernel(0);
    table.begin_empty(first).unwrap();
    let second = table.filled_by_kernel(0);
    table.end_empty(0, true);
    assert_eq!(table.resolve(first), Err(Reject::StaleFile));
    assert_eq!(table.resolve(second), Ok(0));
    table.begin_empty(second).unwrap();
    table.end_empty(0, true);
    assert_eq!(
        (table.resolve(second), table.in_use()),
        (Err(Reject::StaleFile), 0)
    );
}

#[test]
fn a_slot_that_is_taken_or_the_kernels_is_no_destination() {
    let (ring, mut table) = table(2, 2);
    let file = File::open("/dev/null").unwrap();
    table.set(0, file.as_raw_fd(), 0, registrar(&ring)).unwrap();
    assert_eq!(table.begin_fill(0), Err(Reject::SlotUnavailable));
    assert_eq!(table.begin_fill(2), Err(Reject::SlotUnavailable));
    assert_eq!(table.begin_fill(9), Err(Reject::SlotUnavailable));
    assert_eq!(table.begin_fill(1), Ok(()));
    assert_eq!(table.begin_fill(1), Err(Reject::SlotUnavailable));
    table.end_fill(1, false);
    assert_eq!(table.begin_fill(1), Ok(()));
    let handle = table.end_fill(1, true);
    assert_eq!(table.begin_empty(handle), Ok(1));
    assert_eq!(table.begin_empty(handle), Err(Reject::StaleFile));
    table.end_empty(1, true);
    assert_eq!(table.resolve(handle), Err(Reject::StaleFile));
}

#[test]
fn handles_of_a_table_are_stale_in_the_next_one_whatever_its_size() {
    let (ring, mut first) = table(3, 1);
    let file = File::open("/dev/null").unwrap();
    let registrar = registrar(&ring);
    let old: Vec<u32> = (0..3)
        .map(|slot| first.set(slot, file.as_raw_fd(), 0, registrar).unwrap())
        .collect();
    first.begin_fill(0).unwrap_err();
    let generations = first.unregister(registrar).unwrap();
    let mut second = FileTable::register(2, 2, &generations, registrar).unwrap();
    for handle in &old {
        assert_eq!(second.resolve(*handle), Err(Reject::StaleFile));
    }
    for slot in 0..2 {
        let handle = second.set(slot, file.as_raw_fd(), 0, registrar).unwrap();
        assert!(!old.contains(&handle));
    }
    for handle in &old {
        assert_eq!(second.resolve(*handle), Err(Reject::StaleFile));
    }
}

#[test]
fn a_table_with_a_slot_on_its_way_is_not_unregistered() {
    let (ring, mut table) = table(2, 0);
    table.begin_fill(0).unwrap();
    let busy = table.unregister(registrar(&ring)).unwrap_err();
    assert_eq!(busy.raw_os_error(), Some(libc::EBUSY));
    table.end_fill(0, false);
    table.unregister(registrar(&ring)).unwrap();
}

#[test]
fn an_update_leaves_the_table_as_the_kernel_does() {
    let (ring, mut table) = table(4, 0);
    let file = File::open("/dev/null").unwrap();
    let (fd, registrar) = (file.as_raw_fd(), registrar(&ring));
    let kept = table.set(1, fd, 0, registrar).unwrap();
    let handles = table.update(0, &[fd, -2, fd, -1], &[0; 4], registrar).unwrap();
    assert_eq!(handles[1], kept);
    assert_eq!(handles[3], 0);
    assert_eq!(table.in_use(), 3);
    let bad = table
        .update(0, &[fd, 9999, -1, fd], &[0; 4], registrar)
        .unwrap_err();
    assert_eq!(bad.raw_os_error(), Some(libc::EBADF));
    assert_eq!(table.resolve(handles[0]), Err(Reject::StaleFile));
    assert_eq!(table.resolve(kept), Err(Reject::StaleFile));
    assert_eq!(table.resolve(handles[2]), Ok(2));
    assert_eq!(table.in_use(), 2);
    for _ in 0..2 {
        table.alloc(fd, 0, registrar).unwrap();
    }
    let full = table.alloc(fd, 0, registrar).unwrap_err();
    assert_eq!(full.raw_os_error(), Some(libc::ENFILE));
}
