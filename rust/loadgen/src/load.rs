//! Many phones at once: what they send, evenly spread in time, and what they hear.
//!
//! Received packets are taken when it is a phone's turn to send, not by waiting for them: so the server never pays for
//! waking this program, and every server is measured in the same way.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use dialroom_audio::audio::g711::decode_ulaw;
use serde_json::json;

use crate::options::Options;
use crate::phone::{PTIME_MS, Phone, announce, targets, tell};
use crate::voice::{Loop, quiet, speech};

const VOICES: u32 = 24;
/// Of ten phones, how many speak.
const SPEAKING: usize = 3;
/// One of so many packets is listened to.
const LISTENED: u64 = 16;
/// Samples above this are speech, not line noise (linear, of 32768).
const LOUD: i16 = 700;
/// Time within which all addresses must have come.
const LONGEST_OPENING: Duration = Duration::from_secs(60);

/// Runs the load. A phone sends from the moment its address has come; the warm-up begins when all have.
pub fn run(options: &Options) -> io::Result<()> {
    let mut crowd = Crowd::new(announce(options.legs)?);
    let targets = read_targets(options.legs);
    let mut clock = Turns::new();
    let opening = Instant::now();
    while !crowd.all_connected() {
        crowd.connect(&targets)?;
        crowd.turn(clock.next());
        if opening.elapsed() > LONGEST_OPENING {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "not all addresses came within a minute"));
        }
    }
    crowd.run(&mut clock, options.warm_up);
    crowd.forget();
    tell(&json!({ "event": "measuring" }))?;
    crowd.run(&mut clock, options.measured);
    tell(&crowd.report(options.measured.as_millis() as u64 / PTIME_MS))
}

/// Reads addresses in a thread of its own: turns do not wait for them.
fn read_targets(legs: usize) -> Receiver<io::Result<SocketAddr>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || targets(legs).try_for_each(|target| sender.send(target)));
    receiver
}

/// One turn each millisecond; all of them, as fast as can be, if this program is late.
struct Turns {
    start: Instant,
    turn: u64,
}

impl Turns {
    fn new() -> Self {
        Self { start: Instant::now(), turn: 0 }
    }

    /// Waits for the next turn, if it is not overdue; its number.
    fn next(&mut self) -> u64 {
        self.turn += 1;
        let due = self.start + Duration::from_millis(self.turn);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        self.turn
    }

    /// Forgets what is overdue, but goes on counting.
    fn catch_up(&mut self) {
        self.start = Instant::now() - Duration::from_millis(self.turn);
    }
}

struct Member {
    phone: Phone,
    says: usize,
    position: usize,
    received: u64,
    listened: u64,
    loud: u64,
}

struct Crowd {
    members: Vec<Member>,
    connected: usize,
    loops: Vec<Loop>,
    sent: u64,
}

impl Crowd {
    fn new(phones: Vec<Phone>) -> Self {
        let mut loops: Vec<Loop> = (0..VOICES).map(speech).collect();
        loops.push(quiet(1));
        let members = phones.into_iter().enumerate().map(|(number, phone)| {
            let speaks = number % 10 < SPEAKING;
            let says = if speaks { number % VOICES as usize } else { VOICES as usize };
            let position = number * 37 % loops[says].len();
            Member { phone, says, position, received: 0, listened: 0, loud: 0 }
        });
        let members = members.collect();
        Self { members, connected: 0, loops, sent: 0 }
    }

    /// Tells the next phones where to send.
    fn connect(&mut self, targets: &Receiver<io::Result<SocketAddr>>) -> io::Result<()> {
        for target in targets.try_iter() {
            self.members[self.connected].phone.connect(target?)?;
            self.connected += 1;
        }
        Ok(())
    }

    fn all_connected(&self) -> bool {
        self.connected == self.members.len()
    }

    /// Lets all phones speak and hear for `length`, be this program late or not.
    fn run(&mut self, clock: &mut Turns, length: Duration) {
        clock.catch_up();
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.turn(clock.next());
        }
    }

    /// Lets the phones whose turn it is take what came and send the next packet.
    fn turn(&mut self, turn: u64) {
        let slot = (turn % PTIME_MS) as usize;
        for (number, member) in self.members[..self.connected].iter_mut().enumerate() {
            // 13 and 20 have no common divisor: the ten phones of a room have ten different turns.
            if number * 13 % PTIME_MS as usize == slot {
                member.take_turn(&self.loops);
                self.sent += 1;
            }
        }
    }

    fn forget(&mut self) {
        self.sent = 0;
        for member in &mut self.members {
            (member.received, member.listened, member.loud, member.phone.unsent) = (0, 0, 0, 0);
        }
    }

    /// `offered`: how many of the packets that should have been sent were, by this program's own speed. `fed`: phones that got at least 95 % of their packets. `hearing`: phones that heard speech in at least half of
    /// the packets listened to.
    fn report(&self, expected: u64) -> serde_json::Value {
        let count = |test: &dyn Fn(&Member) -> bool| self.members.iter().filter(|member| test(member)).count();
        json!({
            "event": "measured",
            "legs": self.members.len(),
            "sent": self.sent,
            "unsent": self.members.iter().map(|member| member.phone.unsent).sum::<u64>(),
            "received": self.members.iter().map(|member| member.received).sum::<u64>(),
            "fed": count(&|member| member.received * 100 >= expected * 95),
            "hearing": count(&|member| member.listened > 0 && member.loud * 2 >= member.listened),
            "offered": self.sent as f64 / (expected * self.members.len() as u64).max(1) as f64,
        })
    }
}

impl Member {
    fn take_turn(&mut self, loops: &[Loop]) {
        let (mut received, mut listened, mut loud) = (self.received, self.listened, self.loud);
        self.phone.receive(|payload| {
            received += 1;
            if received % LISTENED == 0 {
                listened += 1;
                loud += u64::from(payload.iter().any(|&code| decode_ulaw(code).unsigned_abs() > LOUD as u16));
            }
        });
        (self.received, self.listened, self.loud) = (received, listened, loud);
        let said = &loops[self.says];
        self.phone.send(&said[self.position], false);
        self.position = (self.position + 1) % said.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn crowd(phones: Vec<Phone>) -> Crowd {
        let connected = phones.len();
        Crowd { connected, ..Crowd::new(phones) }
    }

    #[test]
    fn a_phone_sends_as_soon_as_its_address_has_come() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut crowd = Crowd::new((0..3).map(|number| Phone::new(number).unwrap()).collect());
        let (sender, receiver) = mpsc::channel();
        for expected in 1..=3u64 {
            sender.send(server.local_addr()).unwrap();
            crowd.connect(&receiver).unwrap();
            crowd.forget();
            (0..PTIME_MS).for_each(|turn| crowd.turn(turn));
            assert_eq!((crowd.sent, crowd.all_connected()), (expected, expected == 3));
        }
    }

    #[test]
    fn three_of_ten_speak_and_each_phone_has_one_turn_in_20_ms() {
        let mut crowd = crowd((0..20).map(|number| Phone::new(number).unwrap()).collect());
        assert_eq!(crowd.members.iter().filter(|member| member.says < VOICES as usize).count(), 6);
        for turn in 0..PTIME_MS {
            crowd.turn(turn);
            assert_eq!(crowd.sent, turn + 1, "phones are spread evenly");
        }
    }

    #[test]
    fn a_phone_that_is_played_speech_hears_it_and_one_that_is_played_noise_does_not() {
        for (played, hears) in [(speech(1), 1), (quiet(1), 0)] {
            let phone = Phone::new(0).unwrap();
            let address = phone.socket().local_addr().unwrap();
            let mut other = Phone::new(1).unwrap();
            other.connect(address).unwrap();
            phone.connect(other.socket().local_addr().unwrap()).unwrap();
            let mut crowd = crowd(vec![phone]);
            for payload in played.iter().cycle().take(160) {
                other.send(payload, false);
                crowd.turn(0);
            }
            let report = crowd.report(160);
            assert_eq!((&report["fed"], &report["hearing"]), (&json!(1), &json!(hears)), "{report}");
        }
    }
}
