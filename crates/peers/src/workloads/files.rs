//! The many small files of the `files-*` workloads, which `bench/input.mjs` makes: their names and
//! what is in them.

use std::env;
use std::ffi::CString;
use std::io;

use crate::args::FilesOptions;

/// Folders that the files are spread over.
const FOLDERS: u32 = 100;
/// Room for any of them, with some over: only a short read says that the file has ended.
pub const ROOM_BYTES: usize = 4_096;

/// The paths of all files, and which of them is next.
pub struct Files {
    paths: Vec<CString>,
    next: u32,
}

impl Files {
    pub fn new(options: &FilesOptions) -> io::Result<Self> {
        // So that it makes no difference how deep the checkout lies.
        env::set_current_dir(&options.folder)?;
        let path = |index: u32| Ok(CString::new(format!("{}/{index}", index % FOLDERS))?);
        let paths = (0..options.files).map(path).collect::<io::Result<_>>()?;
        Ok(Self { paths, next: 0 })
    }

    pub fn next(&mut self) -> u32 {
        let index = self.next;
        // The number of paths is a u32.
        self.next = (index + 1) % self.paths.len() as u32;
        index
    }

    pub fn path(&self, index: u32) -> *const libc::c_char {
        self.paths[index as usize].as_ptr()
    }
}

/// From 1,024 to 4,000 bytes.
pub fn size_bytes(index: u32) -> u32 {
    1_024 + index.wrapping_mul(0x9e37_79b1) % 2_977
}

/// A file begins and ends with its own number.
pub fn is_content(index: u32, bytes: &[u8]) -> bool {
    let number = index.to_le_bytes();
    bytes.len() == size_bytes(index) as usize && bytes.starts_with(&number) && bytes.ends_with(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sizes_are_those_of_the_files_that_the_harness_makes() {
        let first: Vec<u32> = (0..4).map(size_bytes).collect();
        assert_eq!(first, [1_024, 3_666, 1_567, 1_232]);
    }

    #[test]
    fn a_file_that_is_cut_or_another_one_is_not_taken_for_it() {
        let mut bytes = vec![0; size_bytes(7) as usize];
        bytes[..4].copy_from_slice(&7_u32.to_le_bytes());
        let end = bytes.len() - 4;
        bytes[end..].copy_from_slice(&7_u32.to_le_bytes());
        assert!(is_content(7, &bytes));
        assert!(!is_content(8, &bytes));
        assert!(!is_content(7, &bytes[..end]));
    }
}
