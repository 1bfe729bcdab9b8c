use std::time::Instant;
use sim::explore::*;
use paxos::Announce;
fn main() {
    let d = Scene::DUEL;
    let n = Scene { rejects: false, ..d };
    let scenes = [
        Scene { name: "00 norej", values: &[0,0], ..n },
        Scene { name: "10 norej", values: &[1,0], ..n },
        Scene { name: "11 norej", ..n },
        Scene { name: "acrash00 norej", values: &[0,0], acceptor_crashes: 1, ..n },
        Scene { name: "00 rej", values: &[0,0], ..d },
        Scene { name: "lcrash 00 norej", values: &[1,0], leader_crashes: 1, campaigns: &[2,0], ..n },
        Scene { name: "follow 10 norej", values: &[1,0], following: Some(Announce::LeaderOnly), ..n },
        Scene { name: "fetch 10 norej", values: &[1,0], fetches: true, ..n },
    ];
    let flaws = [Flaw::ForgetsPromise, Flaw::ForgetsDisk, Flaw::SendsBeforeSync, Flaw::RepeatsIncarnation, Flaw::HidesVotes, Flaw::BelievesWatermark, Flaw::QuorumsApart];
    let max: usize = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(2_000_000);
    for s in scenes {
        let t = Instant::now();
        let f = explore(&s, Reduced::FULLY, max);
        println!("{} {:?} {:?}", s.name, f, t.elapsed());
    }
    for flaw in flaws {
        let s = Scene { flaw: Some(flaw), name: "flaw", ..d };
        let s = match flaw {
            Flaw::ForgetsDisk | Flaw::SendsBeforeSync => Scene { acceptor_crashes: 1, ..s },
            Flaw::RepeatsIncarnation => Scene { leader_crashes: 1, campaigns: &[2, 1], ..s },
            Flaw::BelievesWatermark => Scene { following: Some(Announce::LeaderOnly), ..s },
            _ => s,
        };
        let t = Instant::now();
        let f = explore(&s, Reduced::FULLY, max);
        println!("{flaw:?} {:?}", t.elapsed());
        println!("{f:#?}");
    }
}
