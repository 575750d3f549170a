//! How long a sound takes from one phone to another.
//!
//! The first phone of a pair sends a tone burst whose first sample is the first of a packet. The second notes when that
//! sample could be heard: the arrival of the packet it is in, plus its place in that packet. Straight from phone to
//! phone this is the moment the packet was sent; everything beyond is delay that was added on the way.

use std::io;
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dialroom_audio::audio::g711::decode_ulaw;
use dialroom_audio::rtp::view::RtpView;
use serde_json::json;

use crate::options::Options;
use crate::phone::{PTIME_MS, Phone, announce, targets, tell};
use crate::voice::{Loop, quiet, tone};

const BURST_PACKETS: usize = 6;
/// Packets from burst to burst: 760 ms, so that bursts drift against any rhythm of the server's.
const CYCLE: usize = 38;
/// Packets before the first burst, while jitter buffers settle.
const SETTLING: usize = 75;
const BURST_HZ: f32 = 1000.0;
const BURST_HEIGHT: f32 = 12000.0;
/// A sample above this is the tone, however line noise and companding fall.
const THRESHOLD: u16 = 4000;
/// The tone is over after so many samples (200 ms) without one above the threshold.
const GAP: usize = 1600;
const SAMPLE: Duration = Duration::from_micros(125);
/// A burst that is heard later than this was lost.
const LONGEST: Duration = Duration::from_millis(600);

/// Runs the measurement.
pub fn run(options: &Options) -> io::Result<()> {
    let phones = announce(options.legs)?;
    for (phone, target) in phones.iter().zip(targets(options.legs)) {
        phone.connect(target?)?;
    }
    let end = Instant::now() + options.measured;
    let mut listeners = Vec::new();
    for phone in phones.iter().skip(1).step_by(2) {
        let socket = ear(phone)?;
        listeners.push(thread::spawn(move || listen(&socket, end + LONGEST)));
    }
    let bursts = speak(phones, end);
    let heard: Vec<Vec<Instant>> = listeners.into_iter().map(|thread| thread.join().unwrap_or_default()).collect();
    report(&bursts, &heard)
}

/// A socket of a phone to wait on in a thread of its own.
fn ear(phone: &Phone) -> io::Result<UdpSocket> {
    let socket = phone.socket().try_clone()?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    Ok(socket)
}

/// Sends for all phones until `end`, each with its own phase; when each talker's bursts began.
fn speak(phones: Vec<Phone>, end: Instant) -> Vec<Vec<Instant>> {
    let ptime = Duration::from_millis(PTIME_MS);
    let count = phones.len() as u32;
    let start = Instant::now();
    let (burst, noise) = (tone(BURST_HZ, BURST_HEIGHT, BURST_PACKETS), quiet(1));
    let mut bursts = vec![Vec::new(); phones.len() / 2];
    let mut phones = phones;
    for round in 0.. {
        for number in 0..phones.len() {
            let due = start + ptime * round as u32 + ptime * number as u32 / count;
            if due >= end {
                return bursts;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // Neighbours must not burst together: they would be taken for one another in a shared room.
            let place = if number % 2 == 0 { burst_place(round, number / 2) } else { None };
            if place == Some(0) {
                bursts[number / 2].push(Instant::now());
            }
            phones[number].send(packet(&burst, &noise, place, round), place == Some(0));
        }
    }
    bursts
}

/// Which packet of a burst a talker sends in this round.
fn burst_place(round: usize, pair: usize) -> Option<usize> {
    let since = round.checked_sub(SETTLING + pair * 7 % CYCLE)?;
    Some(since % CYCLE).filter(|place| *place < BURST_PACKETS)
}

fn packet<'a>(burst: &'a Loop, noise: &'a Loop, place: Option<usize>, round: usize) -> &'a [u8; 160] {
    place.map_or(&noise[round % noise.len()], |place| &burst[place])
}

/// The moments at which bursts could be heard.
fn listen(socket: &UdpSocket, end: Instant) -> Vec<Instant> {
    let mut buffer = [0; 2048];
    let mut onsets = Onsets { quiet: 0 };
    let mut heard = Vec::new();
    while Instant::now() < end {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        let arrival = Instant::now();
        if let Ok(view) = RtpView::parse(&buffer[..length])
            && view.payload_type == 0
            && let Some(place) = onsets.find(view.payload)
        {
            heard.push(arrival + SAMPLE * place as u32);
        }
    }
    heard
}

/// Finds where a tone begins.
struct Onsets {
    quiet: usize,
}

impl Onsets {
    /// The sample of this packet at which a tone begins after a pause.
    fn find(&mut self, payload: &[u8]) -> Option<usize> {
        let mut found = None;
        for (place, &code) in payload.iter().enumerate() {
            if decode_ulaw(code).unsigned_abs() > THRESHOLD {
                if self.quiet >= GAP {
                    found = Some(place);
                }
                self.quiet = 0;
            } else {
                self.quiet += 1;
            }
        }
        found
    }
}

fn report(bursts: &[Vec<Instant>], heard: &[Vec<Instant>]) -> io::Result<()> {
    let mut delays = Vec::new();
    let mut missed = 0;
    for (sent, heard) in bursts.iter().zip(heard) {
        for burst in sent {
            match heard.iter().find(|onset| (*burst..*burst + LONGEST).contains(onset)) {
                Some(onset) => delays.push((*onset - *burst).as_secs_f64() * 1e3),
                None => missed += 1,
            }
        }
    }
    let sent_at: Vec<Vec<f64>> =
        bursts.iter().map(|sent| sent.iter().map(|burst| wall_clock(*burst)).collect()).collect();
    tell(&json!({ "event": "measured", "delays_ms": delays, "missed": missed, "sent_at": sent_at }))
}

/// Seconds since 1970, to compare with clocks outside this process.
fn wall_clock(moment: Instant) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs_f64() - moment.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::PAYLOAD;

    #[test]
    fn the_start_of_a_tone_is_found_to_the_sample_and_told_once() {
        let noise: Vec<u8> = quiet(1).concat();
        let burst: Vec<u8> = tone(BURST_HZ, BURST_HEIGHT, BURST_PACKETS).concat();
        let line: Vec<u8> = noise[..2000].iter().chain(&burst).chain(&noise[..3000]).chain(&burst).copied().collect();
        let mut onsets = Onsets { quiet: 0 };
        let found: Vec<usize> = line
            .chunks(PAYLOAD)
            .enumerate()
            .filter_map(|(packet, payload)| onsets.find(payload).map(|place| packet * PAYLOAD + place))
            .collect();
        assert_eq!(found, [2000, 2000 + burst.len() + 3000]);
    }

    #[test]
    fn bursts_begin_after_settling_and_come_back_each_cycle() {
        let starts: Vec<usize> = (0..200).filter(|round| burst_place(*round, 0) == Some(0)).collect();
        assert_eq!(starts, [SETTLING, SETTLING + CYCLE, SETTLING + 2 * CYCLE, SETTLING + 3 * CYCLE]);
    }

    #[test]
    fn straight_from_phone_to_phone_adds_nothing() {
        let (talker, listener) = (Phone::new(0).unwrap(), Phone::new(1).unwrap());
        talker.connect(listener.socket().local_addr().unwrap()).unwrap();
        listener.connect(talker.socket().local_addr().unwrap()).unwrap();
        let socket = ear(&listener).unwrap();
        let end = Instant::now() + Duration::from_millis(2000);
        let heard = thread::spawn(move || listen(&socket, end));
        let bursts = speak(vec![talker, listener], end);
        let heard = heard.join().unwrap();
        assert_eq!((bursts.len(), bursts[0].len(), heard.len()), (1, 1, 1));
        assert!(heard[0] >= bursts[0][0]);
    }
}
