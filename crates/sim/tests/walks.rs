//! Walks.
use sim::*;
#[test]
fn hunt() {
    let n: u64 = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let from: u64 = std::env::var("FROM").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut total = Statistics::default();
    let mut shown = 0;
    let mut bad = 0;
    for seed in from..from + n {
        let options = Options::drawn(seed);
        match std::panic::catch_unwind(|| walk(seed, &options)) {
            Ok(outcome) => {
                total.add(&outcome.statistics);
                if let Some(v) = outcome.violation {
                    bad += 1;
                    println!(
                        "seed {seed} {:?} {:?} {}: {}",
                        options.shape, options.announce, v.promise, v.what
                    );
                    if shown < 1 {
                        shown += 1;
                        println!("{v}");
                    }
                }
            }
            Err(e) => {
                bad += 1;
                let m = e
                    .downcast_ref::<&str>()
                    .map(|s| s.to_string())
                    .or(e.downcast_ref::<String>().cloned());
                println!("seed {seed} {:?} PANIC {m:?}", options.shape)
            }
        }
    }
    println!("bad {bad}; {total:#?}");
}
