//! The client against scripted nodes: what it sends, to whom, and what it makes of the answers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::proto::append_request::About;
use client::{
    AppendError, Appended, CallError, Client, Consistency, Options, OptionsError, Outcome,
};
use fake::{Act, Fake, SESSION, busy, done, expired, not_leading};
use tokio_stream::StreamExt;
use tonic::Status;

fn client(nodes: &[&Fake], timeout_ms: u64, window: usize) -> Client {
    let endpoints = nodes.iter().map(|node| node.address.clone()).collect();
    let timeout = Duration::from_millis(timeout_ms);
    Client::new(Options { timeout, window, ..Options::new(endpoints) }).unwrap()
}

/// `count` appends, all in flight at once, and their answers in the order of the calls.
async fn burst(client: &Client, count: u64) -> Vec<Result<Appended, AppendError>> {
    let calls: Vec<_> = (0..count)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.append(n.to_le_bytes().to_vec()).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

/// An address where nothing listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_thousand_appends_share_one_stream_in_order() {
    let node = Fake::start(|request| done(request.sequence + 100)).await;
    let client = client(&[&node], 10_000, 1024);
    client.append("warm").await.unwrap();
    let started = Instant::now();
    let answers = burst(&client, 1000).await;
    println!("1000 appends in {:?}", started.elapsed());
    for (n, answer) in (2..).zip(answers) {
        assert_eq!(answer.unwrap(), Appended { slot: n + 100, session: SESSION, sequence: n });
    }
    let seen = node.seen();
    assert!(seen.iter().map(|(sequence, _)| *sequence).eq(1..=1001));
    assert!(seen.iter().all(|(sequence, first)| first <= sequence));
    assert!(seen.is_sorted_by_key(|(_, first)| *first), "first_unanswered went back");
}

#[tokio::test]
async fn a_redirect_is_followed_even_out_of_the_list() {
    let leader = Fake::start(|request| done(request.sequence)).await;
    let hint = leader.address.clone();
    let follower = Fake::start(move |_| not_leading(Some(&hint))).await;
    let client = client(&[&follower], 10_000, 8);
    for answer in burst(&client, 5).await {
        answer.unwrap();
    }
    assert!(leader.seen().iter().map(|(sequence, _)| *sequence).eq(1..=5));
    client.append("again").await.unwrap();
    assert_eq!(leader.seen().len(), 6, "the leader is kept");
}

#[tokio::test]
async fn leaders_that_take_turns_cost_a_client_one_connection_each() {
    let turns = Arc::new(AtomicUsize::new(0));
    let other = Arc::new(std::sync::Mutex::new(String::new()));
    let (odd, first) = (turns.clone(), other.clone());
    let second = Fake::start(move |_| match odd.load(Ordering::SeqCst) % 2 {
        1 => done(0),
        _ => not_leading(Some(&first.lock().unwrap())),
    });
    let second = second.await;
    let (even, hint) = (turns.clone(), second.address.clone());
    let first = Fake::start(move |_| match even.load(Ordering::SeqCst) % 2 {
        0 => done(0),
        _ => not_leading(Some(&hint)),
    });
    let first = first.await;
    other.lock().unwrap().clone_from(&first.address);
    let client = client(&[&first], 10_000, 8);
    for _ in 0..6 {
        client.append("value").await.unwrap();
        turns.fetch_add(1, Ordering::SeqCst);
    }
    assert_eq!((first.append_connections(), second.append_connections()), (1, 1));
}

#[tokio::test]
async fn a_broken_stream_sends_the_same_numbers_elsewhere() {
    // Answers 1 to 10, swallows 11 to 19, breaks at 20.
    let first = Fake::start(|request| match request.sequence {
        0..=10 => done(request.sequence),
        20 => Act::BreakStream,
        _ => Act::Silence,
    })
    .await;
    let second = Fake::start(|request| done(request.sequence)).await;
    let client = client(&[&first, &second], 10_000, 64);
    let answers = burst(&client, 40).await;
    for (sequence, answer) in (1..).zip(answers) {
        assert_eq!(answer.unwrap(), Appended { slot: sequence, session: SESSION, sequence });
    }
    let again = second.seen();
    assert!(again.iter().map(|(sequence, _)| *sequence).eq(11..=40), "{again:?}");
    assert_eq!(again[0], (11, 11));
}

#[tokio::test]
async fn a_busy_node_is_asked_again_under_the_same_number() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let node = Fake::start(move |request| match count.fetch_add(1, Ordering::Relaxed) {
        0..3 => busy(),
        _ => done(request.sequence),
    })
    .await;
    let client = client(&[&node], 10_000, 8);
    assert_eq!(client.append("v").await.unwrap().sequence, 1);
    assert_eq!(
        (node.abouts().len(), node.seen()),
        (4, vec![(1, 1)]),
        "the session is opened first"
    );
    asked.store(0, Ordering::Relaxed);
    assert_eq!(client.append("w").await.unwrap().sequence, 2);
    assert_eq!(node.seen()[1..], [(2, 2); 4]);
}

#[tokio::test]
async fn silence_until_the_deadline_is_unknown_and_the_number_is_passed() {
    let node = Fake::start(|request| match request.sequence {
        1 => Act::Silence,
        _ => done(request.sequence),
    })
    .await;
    let client = client(&[&node], 120, 8);
    let error = client.append("v").await.unwrap_err();
    assert!(matches!(error, AppendError::Unknown { .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    client.append("w").await.unwrap();
    assert_eq!(node.seen().last(), Some(&(2, 2)));
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_not_applied() {
    let address = nobody().await;
    let timeout = Duration::from_millis(60);
    let options = Options { timeout, ..Options::new(vec![address.clone()]) };
    let error = Client::new(options).unwrap().append("v").await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotApplied);
    let AppendError::Unreachable { tried, last } = error else { panic!("{error}") };
    assert_eq!(tried, [address]);
    assert!(last.contains("refused"), "{last}");
}

#[tokio::test]
async fn everyone_declining_is_not_applied() {
    let node = Fake::start(|_| not_leading(None)).await;
    let error = client(&[&node], 60, 8).append("v").await.unwrap_err();
    assert!(matches!(error, AppendError::NotProposed { .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
}

#[tokio::test]
async fn a_full_window_holds_back() {
    let node = Fake::start(|request| match request.sequence {
        0 => done(0),
        _ => Act::Silence,
    })
    .await;
    let client = client(&[&node], 10_000, 3);
    let in_flight = tokio::spawn({
        let client = client.clone();
        async move { burst(&client, 3).await }
    });
    while node.seen().len() < 3 {
        tokio::task::yield_now().await;
    }
    let fourth = tokio::time::timeout(Duration::from_millis(20), client.append("v")).await;
    assert!(fourth.is_err(), "the window has three places");
    assert_eq!(node.seen(), [(1, 1), (2, 1), (3, 1)]);
    in_flight.abort();
}

#[tokio::test]
async fn a_dropped_call_is_appended_all_the_same() {
    let node = Fake::start(|request| done(request.sequence)).await;
    let client = client(&[&node], 10_000, 8);
    tokio::select! {
        biased;
        _ = client.append("v") => panic!("nothing can answer before the first poll"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(client.append("w").await.unwrap().sequence, 2);
    assert!(node.seen().iter().map(|(sequence, _)| *sequence).eq(1..=2));
}

/// A client whose session lives for a second.
fn short_lived(node: &Fake) -> Client {
    let lifetime = Options::LIFETIME_MIN;
    let timeout = Duration::from_secs(10);
    Client::new(Options { lifetime, timeout, ..Options::new(vec![node.address.clone()]) }).unwrap()
}

#[tokio::test]
async fn nothing_is_sent_before_the_session_is_open_and_a_retry_repeats_the_nonce() {
    let first = Fake::start(|_| Act::BreakStream).await;
    let second = Fake::start(|request| done(request.sequence)).await;
    let client = client(&[&first, &second], 10_000, 8);
    for answer in burst(&client, 5).await {
        answer.unwrap();
    }
    assert_eq!(first.seen(), []);
    let (lost, opened) = (first.abouts(), second.abouts());
    let [About::Open(lost), ..] = &lost[..] else { panic!("{lost:?}") };
    let [About::Open(opened)] = &opened[..] else { panic!("{opened:?}") };
    assert_eq!(lost, opened);
    assert_eq!(opened.nonce.len(), 16);
    assert_eq!(opened.lifetime_us, 3_600_000_000);
}

#[tokio::test]
async fn an_idle_session_is_kept_alive_and_closed_with_the_last_handle() {
    let node = Fake::start(|request| done(request.sequence)).await;
    let client = short_lived(&node);
    client.append("v").await.unwrap();
    while node.abouts().len() < 3 {
        tokio::task::yield_now().await;
    }
    let abouts = node.abouts();
    assert!(matches!(abouts[1..], [About::KeepAlive(_), About::KeepAlive(_)]), "{abouts:?}");
    let other = client.clone();
    drop(client);
    other.append("w").await.unwrap();
    other.close().await;
    let abouts = node.abouts();
    assert!(matches!(abouts.last(), Some(About::Close(_))), "{abouts:?}");
}

#[tokio::test]
async fn a_client_that_never_appended_has_nothing_to_close() {
    let node = Fake::start(|request| done(request.sequence)).await;
    client(&[&node], 10_000, 8).close().await;
    assert_eq!(node.abouts(), []);
}

#[tokio::test]
async fn an_expired_session_is_told_and_never_replaced() {
    let node = Fake::start(|request| match request.sequence {
        0 | 1 => done(request.sequence),
        _ => expired(),
    })
    .await;
    let client = client(&[&node], 10_000, 8);
    client.append("v").await.unwrap();
    for _ in 0..3 {
        let error = client.append("w").await.unwrap_err();
        assert!(matches!(error, AppendError::SessionExpired { .. }), "{error}");
        assert_eq!(error.outcome(), Outcome::NotApplied, "the only copy was refused");
    }
    assert_eq!(node.seen(), [(1, 1), (2, 2)], "nothing is sent under it any more");
    client.close().await;
    assert_eq!(node.abouts().len(), 1, "nor is another one opened, nor this one closed");
}

#[tokio::test]
async fn a_value_that_was_lost_from_sight_before_its_session_expired_is_unknown() {
    let first = Fake::start(|request| match request.sequence {
        0 => done(0),
        _ => Act::BreakStream,
    })
    .await;
    let second = Fake::start(|_| expired()).await;
    let client = client(&[&first, &second], 10_000, 8);
    let error = client.append("v").await.unwrap_err();
    assert!(matches!(error, AppendError::SessionExpired { .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_large_value_is_refused_before_it_is_sent() {
    let node = Fake::start(|request| done(request.sequence)).await;
    let client = client(&[&node], 10_000, 8);
    let error = client.append(vec![0; client::VALUE_BYTES_MAX + 1]).await.unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { .. }));
    client.append(vec![0; client::VALUE_BYTES_MAX]).await.unwrap();
}

#[tokio::test]
async fn a_read_gives_a_range() {
    let node = Fake::start(|_| Act::Silence).await;
    let client = client(&[&node], 10_000, 8);
    for (first, end, expected) in
        [(0, None, vec![0, 1, 2, 3, 4]), (1, Some(3), vec![1, 2]), (0, Some(0), vec![])]
    {
        let entries = client.read(Consistency::Linearizable, first, end, 0).await.unwrap();
        let slots: Vec<u64> = entries.map(|entry| entry.unwrap().slot).collect().await;
        assert_eq!(slots, expected);
    }
}

#[tokio::test]
async fn a_read_says_how_much_it_must_show() {
    use client::proto::read_request::Consistency as Asked;
    use client::proto::{Linearizable, Local, Sequential, Stale};

    let node = Fake::start(|_| Act::Silence).await;
    let client = client(&[&node], 10_000, 8);
    let max_age = Duration::from_millis(500);
    for consistency in [
        Consistency::Linearizable,
        Consistency::Sequential { at_least: 42 },
        Consistency::Stale { max_age },
        Consistency::Local,
    ] {
        let entries = client.read(consistency, 0, None, 0).await.unwrap();
        assert_eq!(entries.read_below(), 5);
    }
    let asked: Vec<_> = node.reads().iter().map(|read| read.consistency).collect();
    let expected = [
        Asked::Linearizable(Linearizable {}),
        Asked::Sequential(Sequential { at_least: 42 }),
        Asked::Stale(Stale { max_age_us: 500_000 }),
        Asked::Local(Local {}),
    ];
    assert_eq!(asked, expected.map(Some));
}

#[tokio::test]
async fn reads_share_a_connection_and_one_that_broke_is_opened_again() {
    let fake = Fake::start(|_| Act::Silence).await;
    let client = client(&[&fake], 10_000, 8);
    for _ in 0..3 {
        client.read(Consistency::Local, 0, None, 0).await.unwrap();
    }
    assert_eq!((fake.reads().len(), fake.read_connections()), (3, 1));
    // As a connection says whose node was started again meanwhile.
    fake.refuse_reads([Status::unavailable("broken")]);
    client.read(Consistency::Local, 0, None, 0).await.unwrap();
    assert_eq!((fake.reads().len(), fake.read_connections()), (5, 2));
}

#[tokio::test]
async fn a_read_goes_on_elsewhere_within_its_time() {
    let [cut_off, acceptor, busy, leader] = [(); 4].map(|()| Fake::start(|_| Act::Silence));
    let (cut_off, acceptor) = (cut_off.await, acceptor.await);
    let (busy, leader) = (busy.await, leader.await);
    let mut late = Status::deadline_exceeded("nobody answers");
    late.metadata_mut().insert(client::LEADER, leader.address.parse().unwrap());
    cut_off.refuse_reads([late]);
    acceptor.refuse_reads([Status::failed_precondition("nothing here")]);
    busy.refuse_reads([Status::resource_exhausted("full")]);
    let client = client(&[&busy, &acceptor, &cut_off], 10_000, 8);
    let entries = client.read(Consistency::Linearizable, 2, None, 0).await.unwrap();
    let slots: Vec<u64> = entries.map(|entry| entry.unwrap().slot).collect().await;
    assert_eq!(slots, [2, 3, 4]);
    let asked = || [&busy, &acceptor, &cut_off, &leader].map(|node| node.reads().len());
    assert_eq!(asked(), [1, 1, 1, 1], "each is asked once, and the leader at last");
    client.read(Consistency::Linearizable, 2, None, 0).await.unwrap();
    assert_eq!(asked(), [1, 1, 1, 2], "who answers is kept");
}

#[tokio::test]
async fn a_read_that_nobody_serves_says_why() {
    let (one, two) = (Fake::start(|_| Act::Silence).await, Fake::start(|_| Act::Silence).await);
    let nothing = || Status::failed_precondition("nothing here");
    let read = async |client: Client| {
        client.read(Consistency::Linearizable, 0, None, 0).await.unwrap_err()
    };
    one.refuse_reads([nothing()]);
    two.refuse_reads([nothing()]);
    let error = read(client(&[&one, &two], 60_000, 8)).await;
    assert!(matches!(error, CallError::NotLearning { .. }), "at once: {error}");
    one.refuse_tails(nothing());
    let error = client(&[&one], 60_000, 8).tail(0).next().await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::NotLearning { .. }), "{error}");
    let gone = nobody().await;
    let endpoints = vec![one.address.clone(), gone.clone()];
    let timeout = Duration::from_millis(200);
    let options = Options { timeout, ..Options::new(endpoints) };
    for (refusal, expected) in [
        (nothing(), CallError::Unreachable { endpoint: gone, reason: String::new() }),
        (
            Status::resource_exhausted("full"),
            CallError::Busy { endpoint: String::new(), reason: String::new() },
        ),
        (
            Status::deadline_exceeded("late"),
            CallError::TimedOut { endpoint: String::new(), leader: None },
        ),
    ] {
        one.refuse_reads(std::iter::repeat_n(refusal, 100));
        let error = read(Client::new(options.clone()).unwrap()).await;
        let kind = std::mem::discriminant::<CallError>;
        assert_eq!(kind(&error), kind(&expected), "{error}");
        one.forgive_reads();
    }
}

#[tokio::test]
async fn a_client_remembers_what_it_has_seen() {
    let node = Fake::start(|request| done(request.sequence + 100)).await;
    let client = client(&[&node], 10_000, 8);
    assert_eq!(client.position(), 0);
    let other = client.clone();
    client.read(Consistency::Local, 0, Some(2), 0).await.unwrap();
    assert_eq!(other.position(), 5, "what the node had applied, and clones share it");
    let slot = other.append("v").await.unwrap().slot;
    assert_eq!(client.position(), slot + 1);
    client.read(Consistency::Local, 0, None, 0).await.unwrap();
    assert_eq!(client.position(), slot + 1, "it never goes back");
    client.tail(1000).next().await.unwrap().unwrap();
    assert!(client.position() > 1000);
}

#[tokio::test]
async fn a_tail_resumes_after_the_last_slot_seen() {
    let (first, second) = (Fake::start(|_| busy()).await, Fake::start(|_| busy()).await);
    let client = client(&[&first, &second], 10_000, 8);
    let tail = client.tail(7).take(5);
    let slots: Vec<u64> = tail.map(|entry| entry.unwrap().slot).collect().await;
    assert_eq!(slots, [7, 8, 9, 10, 11]);
    assert_eq!(first.tails()[..2], [7, 11]);
    assert_eq!(second.tails()[0], 9);
}

#[tokio::test]
async fn a_node_call_says_who_failed() {
    let node = Fake::start(|_| busy()).await;
    let client = client(&[&node], 10_000, 8);
    let error = client.status(&node.address).await.unwrap_err();
    assert!(matches!(error, CallError::Failed { code: client::Code::Unimplemented, .. }));
    let nobody = nobody().await;
    let error = client.fail(&nobody).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { endpoint, .. } if endpoint == nobody));
}

#[tokio::test]
async fn options_are_checked() {
    let check = |endpoints: Vec<String>, window| {
        Client::new(Options { window, ..Options::new(endpoints) }).unwrap_err()
    };
    assert_eq!(check(vec![], 1), OptionsError::NoEndpoint);
    assert!(matches!(check(vec!["x".into()], 1), OptionsError::BadEndpoint { .. }));
    assert!(matches!(check(vec!["x:1".into()], 0), OptionsError::BadWindow { window: 0, .. }));
    let lifetime = Options::LIFETIME_MAX + Duration::from_secs(1);
    let options = Options { lifetime, ..Options::new(vec!["x:1".into()]) };
    assert!(matches!(Client::new(options).unwrap_err(), OptionsError::BadLifetime { .. }));
}

#[tokio::test]
async fn who_is_denied_everywhere_is_told_so_at_once() {
    let nodes = [Fake::denying().await, Fake::denying().await];
    let client = client(&[&nodes[0], &nodes[1]], 10_000, 8);
    let started = Instant::now();
    for answer in burst(&client, 3).await {
        let error = answer.unwrap_err();
        assert!(matches!(error, AppendError::Denied { .. }), "{error}");
        assert_eq!(error.outcome(), Outcome::NotApplied);
    }
    assert!(started.elapsed() < Duration::from_secs(5), "the time-out was waited for");
}

#[tokio::test]
async fn one_node_that_allows_it_is_enough() {
    let denies = Fake::denying().await;
    let allows = Fake::start(|request| done(request.sequence)).await;
    let client = client(&[&denies, &allows], 10_000, 8);
    assert_eq!(client.append("v").await.unwrap().sequence, 1);
}

#[tokio::test]
async fn a_denial_takes_no_doubt_away() {
    // The value is swallowed with the stream; then nobody knows this client any more.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let node = Fake::denying_after(1, move |request| {
        if request.sequence == 0 {
            done(0)
        } else {
            count.fetch_add(1, Ordering::Relaxed);
            Act::BreakStream
        }
    })
    .await;
    let error = client(&[&node], 10_000, 8).append("v").await.unwrap_err();
    assert!(matches!(error, AppendError::Denied { .. }), "{error}");
    assert_eq!((error.outcome(), asked.load(Ordering::Relaxed)), (Outcome::Unknown, 1));
}
