//! Generators of their own for each thing that chance decides, all from one seed.
//!
//! So a misfortune that is left out changes what follows from it, and not every draw after it: a
//! failing walk can be shrunk.

use paxos::Rng;

/// All generators of one walk.
#[derive(Debug)]
pub struct Luck {
    /// Delays, losses, repeats.
    pub network: Rng,
    /// What clients want, and of whom they ask it.
    pub clients: Rng,
    /// Incarnations, sync times, failing disks, what a crash leaves.
    pub nodes: Rng,
    /// How a broken world breaks its promises.
    pub broken: Rng,
    misfortunes: u64,
}

impl Luck {
    pub fn new(seed: u64) -> Luck {
        let mut rng = Rng::new(seed);
        let mut other = || Rng::new(rng.draw());
        let (network, clients, nodes, broken) = (other(), other(), other(), other());
        Luck { network, clients, nodes, broken, misfortunes: rng.draw() }
    }

    /// The generator of one misfortune, by its number.
    pub fn of_misfortune(&self, number: u64) -> Rng {
        // Neighbouring seeds give unrelated sequences only after a draw.
        Rng::new(Rng::new(self.misfortunes ^ number).draw())
    }
}
