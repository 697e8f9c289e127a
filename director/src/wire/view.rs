//! What the views of all headers have alike.

/// `Header`, a view of the `LEN` bytes of a header, and how to get one.
macro_rules! header {
    ($(#[$doc:meta])*) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct Header<T>(T);

        /// The header at the start of `bytes`, if they reach that far.
        #[inline]
        pub fn header(bytes: &[u8]) -> Option<Header<&[u8; LEN]>> {
            bytes.first_chunk().map(Header)
        }

        /// As [`header`], to write.
        #[inline]
        pub fn header_mut(bytes: &mut [u8]) -> Option<Header<&mut [u8; LEN]>> {
            bytes.first_chunk_mut().map(Header)
        }
    };
}

pub(super) use header;
