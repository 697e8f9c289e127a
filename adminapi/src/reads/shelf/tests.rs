use axum::body::to_bytes;

use super::*;

/// Bytes of an answer of which a few fill a shelf.
const LARGE: usize = FULL / 4;

fn token(name: &str) -> Holder {
    Holder::Token(name.to_owned())
}

fn place(shelf: &Arc<Shelf>, whose: &Holder) -> Place {
    Place {
        shelf: Arc::clone(shelf),
        whose: whose.clone(),
    }
}

fn laid(shelf: &Arc<Shelf>, whose: &Holder, size: usize) -> Body {
    let whole = Body::from(vec![b'x'; size]);
    place(shelf, whose).lay(Response::new(whole)).into_body()
}

/// A shelf that is full of answers of this holder.
fn full(whose: &Holder) -> (Arc<Shelf>, Vec<Body>) {
    let shelf = Arc::new(Shelf::default());
    let answers = (0..4).map(|_| laid(&shelf, whose, LARGE)).collect();
    (shelf, answers)
}

async fn taken(body: Body) -> Option<usize> {
    let whole = to_bytes(body, usize::MAX).await;
    whole.ok().map(|whole| whole.len())
}

/// Whether the wait for room is over.
fn waits(shelf: &Shelf, whose: &Holder) -> bool {
    shelf.room(whose).now_or_never().is_none()
}

#[tokio::test(start_paused = true)]
async fn who_leaves_much_waits_for_himself_alone() {
    let (slow, other) = (token("slow"), token("other"));
    let (shelf, mut answers) = full(&slow);
    assert!(waits(&shelf, &slow));
    assert!(!waits(&shelf, &other));
    let little = laid(&shelf, &other, MUCH - 1);
    assert!(!waits(&shelf, &other));

    // He takes one, and has room for another.
    let room = tokio::spawn({
        let (shelf, slow) = (Arc::clone(&shelf), slow.clone());
        async move { shelf.room(&slow).await }
    });
    let begun = Instant::now();
    assert_eq!(taken(answers.remove(0)).await, Some(LARGE));
    room.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for answer in answers {
        assert_eq!(taken(answer).await, Some(LARGE));
    }
    assert_eq!(taken(little).await, Some(MUCH - 1));
    assert!(shelf.answers().by_number.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_oldest_of_who_has_most_is_given_up() {
    let (slow, other) = (token("slow"), token("other"));
    let shelf = Arc::new(Shelf::default());
    let first = laid(&shelf, &other, MUCH);
    let oldest = laid(&shelf, &slow, LARGE);
    tokio::time::advance(PATIENCE / 2).await;
    let later: Vec<_> = (0..3).map(|_| laid(&shelf, &slow, LARGE)).collect();
    let begun = Instant::now();
    shelf.room(&other).await;
    // The clock of tokio goes by milliseconds.
    let waited = begun.elapsed();
    assert!(waited >= PATIENCE / 2 && waited < PATIENCE, "{waited:?}");
    assert_eq!(taken(oldest).await, None);
    assert_eq!(taken(first).await, Some(MUCH));
    for answer in later {
        assert_eq!(taken(answer).await, Some(LARGE));
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_been_there_for_long_holds_nobody_up() {
    let slow = token("slow");
    let (shelf, answers) = full(&slow);
    tokio::time::advance(PATIENCE).await;
    assert!(!waits(&shelf, &slow));
    let mut sizes = Vec::new();
    for answer in answers {
        sizes.push(taken(answer).await);
    }
    assert_eq!(sizes, [None, Some(LARGE), Some(LARGE), Some(LARGE)]);
}

#[tokio::test]
async fn an_answer_is_taken_while_it_is_being_made() {
    let shelf = Arc::new(Shelf::default());
    let (maker, mut body) = place(&shelf, &Holder::Anybody).begin();
    let taker = tokio::spawn(async move {
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "one");
        taken(body).await
    });
    tokio::task::yield_now().await;
    assert!(maker.put("one".into()));
    tokio::task::yield_now().await;
    let rest = vec![b'y'; 3 * PIECE / 2];
    assert!(maker.put(rest.into()));
    maker.end();
    assert_eq!(taker.await.unwrap(), Some(3 * PIECE / 2));

    let (maker, body) = place(&shelf, &Holder::Anybody).begin();
    assert!(maker.put("one".into()));
    drop(maker);
    assert_eq!(taken(body).await, None, "it has no end");

    let (maker, body) = place(&shelf, &Holder::Anybody).begin();
    drop(body);
    assert!(!maker.put("one".into()), "nobody wants it");
    drop(maker);
    assert!(shelf.answers().by_number.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_made_as_it_is_taken_counts_for_what_it_is_made_of() {
    let (slow, shelf) = (token("slow"), Arc::new(Shelf::default()));
    let told = |source: &Arc<()>| {
        let source = Arc::clone(source);
        let pieces = (0..3).map(move |_| {
            assert!(Arc::strong_count(&source) > 1);
            Ok(vec![b'z'; PIECE])
        });
        place(&shelf, &slow).tell(FULL, pieces)
    };
    let (oldest, latest) = (Arc::new(()), Arc::new(()));
    let (mut first, second) = (told(&oldest), told(&latest));
    assert!(waits(&shelf, &slow));
    let piece = first.frame().await.unwrap().unwrap();
    assert_eq!(piece.into_data().unwrap().len(), PIECE);

    tokio::time::advance(PATIENCE).await;
    shelf.room(&token("other")).await;
    assert_eq!(
        shelf.answers().by_number.len(),
        2,
        "who has little is not in the way"
    );
    assert!(!waits(&shelf, &slow));
    assert_eq!(Arc::strong_count(&oldest), 1, "it is given up");
    assert_eq!(taken(first).await, None);
    assert_eq!(taken(second).await, None, "so is the next one");
    assert!(shelf.answers().by_number.is_empty());
    assert_eq!(taken(told(&latest)).await, Some(3 * PIECE));
}

#[tokio::test]
async fn an_answer_of_which_a_piece_cannot_be_made_breaks_off() {
    let shelf = Arc::new(Shelf::default());
    let pieces = [Ok(vec![b'z']), Err(Unlisted::Short)].into_iter();
    let told = place(&shelf, &Holder::Anybody).tell(1, pieces);
    assert_eq!(taken(told).await, None);
    assert!(shelf.answers().by_number.is_empty());
}

#[tokio::test]
async fn the_size_of_a_made_answer_is_told_and_a_small_one_is_not_laid() {
    let shelf = Arc::new(Shelf::default());
    let small = laid(&shelf, &Holder::Anybody, PIECE);
    assert!(shelf.answers().by_number.is_empty());
    assert_eq!(small.size_hint().exact(), Some(PIECE as u64));
    let large = laid(&shelf, &Holder::Anybody, PIECE + 1);
    assert_eq!(shelf.answers().by_number.len(), 1);
    assert_eq!(large.size_hint().exact(), Some(PIECE as u64 + 1));
    drop(large);
    assert!(shelf.answers().by_number.is_empty());
}
