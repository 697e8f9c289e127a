//! A body that something is held for as long as it lasts.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Error;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

/// The most that is given at once. What is given counts as sent, so a large answer that nobody
/// takes must not be given as a whole. A portion of a listing is less, and stays whole.
const PIECE: usize = 32 << 10;

/// `answer`, which drops `held` once its body is sent or nobody wants it any more.
pub(crate) fn hold(answer: Response, held: impl Unpin + Send + 'static) -> Response {
    let rest = Bytes::new();
    answer.map(|body| {
        Body::new(Held {
            body,
            rest,
            _held: held,
        })
    })
}

struct Held<T> {
    body: Body,
    /// What the body has given, and this has not.
    rest: Bytes,
    _held: T,
}

impl<T> Held<T> {
    fn piece(&mut self) -> Frame<Bytes> {
        Frame::data(self.rest.split_to(self.rest.len().min(PIECE)))
    }
}

impl<T: Unpin> HttpBody for Held<T> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        let given = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(given.map(|frame| match frame?.into_data() {
            Ok(data) => {
                self.rest = data;
                Ok(self.piece())
            }
            Err(trailers) => Ok(trailers),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut size = SizeHint::new();
        size.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper().and_then(|upper| upper.checked_add(rest)) {
            size.set_upper(upper);
        }
        size
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_large_answer_lasts_until_its_last_piece() {
        let large: Vec<u8> = (0..PIECE * 5 / 2).map(|n| n.to_le_bytes()[0]).collect();
        let held = Arc::new(());
        let answer = hold(Response::new(Body::from(large.clone())), Arc::clone(&held));
        let (mut body, mut got) = (answer.into_body(), Vec::new());
        while got.len() < large.len() {
            assert!(!body.is_end_stream());
            let left = (large.len() - got.len()) as u64;
            assert_eq!(body.size_hint().exact(), Some(left));
            let frame = body.frame().await.unwrap().unwrap();
            let piece = frame.into_data().unwrap();
            assert!((1..=PIECE).contains(&piece.len()));
            got.extend(piece);
            assert_eq!(Arc::strong_count(&held), 2);
        }
        assert!(got == large && body.is_end_stream());
        drop(body);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
