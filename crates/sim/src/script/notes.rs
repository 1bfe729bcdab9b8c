//! What one command has caused, as lines: whoever does the same thing shares a line.

/// Lines under one command, in the order in which things happened first.
#[derive(Debug, Default)]
pub struct Notes {
    lines: Vec<Line>,
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// Milliseconds since the command began, where time is told.
    at: Option<u64>,
    who: Vec<String>,
    what: String,
}

impl Notes {
    /// `who` did `what`; `what` begins with what separates the two.
    pub fn add(&mut self, at: Option<u64>, who: &str, what: String) {
        let same = |line: &&mut Line| {
            line.at == at && line.what == what && !line.who.iter().any(|known| known == who)
        };
        match self.lines.iter_mut().find(same) {
            Some(line) => line.who.push(who.to_owned()),
            None => self.lines.push(Line { at, who: vec![who.to_owned()], what }),
        }
    }

    /// A line of its own.
    pub fn say(&mut self, at: Option<u64>, what: String) {
        self.lines.push(Line { at, who: Vec::new(), what });
    }

    /// Every line, and none is left. What happened in the same way several times is one line.
    pub fn take(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.lines);
        let is_first = |place: usize| !lines[..place].contains(&lines[place]);
        let times = |line: &Line| lines.iter().filter(|other| *other == line).count();
        let firsts = (0..lines.len()).filter(|place| is_first(*place));
        firsts.map(|place| lines[place].written(times(&lines[place]))).collect()
    }
}

impl Line {
    fn written(&self, times: usize) -> String {
        let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
        let sentence = format!("{}{}{times}", self.who.join(" "), self.what);
        match self.at {
            None => sentence,
            Some(at) => format!("{at:>5} ms  {sentence}"),
        }
    }
}
