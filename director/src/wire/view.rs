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

/// The ports in a view, with which the headers of all transport protocols begin.
macro_rules! ports {
    () => {
        impl<T: Borrow<[u8; LEN]>> Header<T> {
            /// Source and destination port.
            #[inline]
            pub fn ports(&self) -> [u16; 2] {
                [0, 2].map(|at| super::bytes::u16_at(self.0.borrow(), at))
            }
        }

        impl<T: BorrowMut<[u8; LEN]>> Header<T> {
            /// Sets both ports, and not the checksum.
            #[inline]
            pub fn set_ports(&mut self, src: u16, dst: u16) {
                let both = u32::from(src) << 16 | u32::from(dst);
                super::bytes::put_u32(self.0.borrow_mut(), 0, both);
            }
        }
    };
}

pub(super) use {header, ports};
