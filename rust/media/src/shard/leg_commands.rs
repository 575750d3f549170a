//! Commands about phone legs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use dialroom_audio::audio::gain::Gain;
use dialroom_protocol::{Answer, Command, PlayItem, PlaybackEnd, Refusal, RefusalCode};

use crate::bridge::MemberKey;
use crate::latch::Latch;
use crate::leg::{Leg, Membership, StreamSeed};
use crate::playback::Playback;
use crate::ports::{LegKey, PortOpener, PortPair, canonical};
use crate::shard::Shard;
use crate::shard::commands::check_id;

/// Most legs of a shard.
pub const MAX_LEGS: usize = 20_000;

fn read_address(text: &str) -> Result<IpAddr, Refusal> {
    text.parse().map(canonical).map_err(|_| bad_value(format!("{text:?} is no IP address")))
}

fn bad_value(message: String) -> Refusal {
    Refusal::new(RefusalCode::BadValue, message)
}

impl Shard {
    pub(super) fn leg_command(
        &mut self,
        command: Command,
        now: Instant,
        opener: &mut dyn PortOpener,
    ) -> Result<Answer, Refusal> {
        match command {
            open @ Command::OpenLeg { .. } => return self.open_leg(open, now, opener),
            Command::ConfigureLeg { leg, media } => self.configure_leg(&leg, media, now)?,
            Command::JoinLeg { leg, bridge, participant, muted } => {
                self.join_leg(&leg, &bridge, &participant, muted, now)?;
            }
            Command::LeaveLeg { leg } => {
                let key = self.leg_key(&leg)?;
                self.leave_leg(key, now);
            }
            Command::MuteLeg { leg, muted } => self.mute_leg(&leg, muted)?,
            Command::SetLegGain { leg, gain } => {
                if !(-20.0..=20.0).contains(&gain) {
                    return Err(bad_value(format!("a gain of {gain} dB is outside -20 to 20")));
                }
                self.leg(&leg)?.gain = Gain::from_db(gain.round() as i8);
            }
            Command::Play { leg, playback, items, repeat } => self.play(&leg, playback, &items, repeat)?,
            Command::StopPlayback { leg } => {
                let key = self.leg_key(&leg)?;
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.end_playback(PlaybackEnd::Stopped, &mut self.outbox.events);
                }
            }
            Command::SendDigits { leg, digits, duration, gap } => self.send_digits(&leg, &digits, duration, gap)?,
            Command::GetStatistics { leg } => {
                return Ok(Answer::LegStatistics { statistics: self.leg(&leg)?.statistics() });
            }
            Command::CloseLeg { leg } => return self.close_leg(&leg, now),
            other => return Err(bad_value(format!("{} is no command about a leg", other.name()))),
        }
        Ok(Answer::Done {})
    }

    fn leg(&mut self, id: &str) -> Result<&mut Leg, Refusal> {
        let key = self.leg_key(id)?;
        let unknown = || Refusal::new(RefusalCode::UnknownLeg, format!("There is no leg {id}"));
        self.legs.get_mut(key).map(|leg| &mut **leg).ok_or_else(unknown)
    }

    fn open_leg(&mut self, open: Command, now: Instant, opener: &mut dyn PortOpener) -> Result<Answer, Refusal> {
        let Command::OpenLeg { leg: id, tag, remote_address, remote_rtp_port, signalling_address } = open else {
            return Err(bad_value(format!("{} opens no leg", open.name())));
        };
        let address = remote_address.as_deref().map(read_address).transpose()?;
        let announced = address.zip(remote_rtp_port).map(|(address, port)| SocketAddr::new(address, port));
        let signalling = signalling_address.as_deref().map(read_address).transpose()?;
        if let Ok(key) = self.leg_key(&id) {
            let pair = self.legs.get(key).map(|leg| leg.pair);
            return pair.map(|pair| self.opened(pair, announced)).ok_or_else(|| bad_value(id));
        }
        check_id("leg", &id)?;
        if self.legs.len() >= MAX_LEGS {
            return Err(Refusal::new(RefusalCode::NoCapacity, format!("There are {MAX_LEGS} legs already")));
        }
        let seed = StreamSeed { ssrc: self.random(), sequence: self.random() as u16, timestamp: self.random() };
        let micros = self.clock.micros(now);
        let (ports, mut reserved) = (&mut self.ports, None);
        let key = self.legs.insert_with_key(|key| {
            reserved = ports.reserve(key, announced, opener);
            let (port, pair) = reserved.unwrap_or_default();
            Box::new(Leg::new(id.clone(), tag, port, pair, Latch::new(announced, signalling), seed, micros))
        });
        let Some((_, pair)) = reserved else {
            self.legs.remove(key);
            let message = "All RTP ports are taken; widen --rtp-ports or end calls";
            return Err(Refusal::new(RefusalCode::NoPort, message));
        };
        self.leg_ids.insert(id.clone(), key);
        self.stand_alone(key);
        tracing::info!(leg = id, rtp_port = pair.rtp, "leg opened");
        Ok(self.opened(pair, announced))
    }

    fn opened(&self, pair: PortPair, announced: Option<SocketAddr>) -> Answer {
        let wants_v6 = announced.is_some_and(|address| address.is_ipv6());
        let fitting = self.config.addresses.iter().find(|address| address.is_ipv6() == wants_v6);
        let address = fitting.or(self.config.addresses.first()).map(IpAddr::to_string).unwrap_or_default();
        Answer::LegOpened { address, rtp_port: pair.rtp, rtcp_port: pair.rtcp }
    }

    fn configure_leg(&mut self, id: &str, media: dialroom_protocol::LegMedia, now: Instant) -> Result<(), Refusal> {
        let ssrc = self.random();
        let micros = self.clock.micros(now);
        let key = self.leg_key(id)?;
        let Some(leg) = self.legs.get_mut(key) else {
            return Ok(());
        };
        let first = leg.stream.is_none();
        let codec = media.codec.name;
        let moved = leg.configure(media, ssrc, micros)?;
        let port = leg.port;
        if moved && !first {
            self.ports.unlatch(port, key);
            leg.reports.forget_source();
        }
        if let (Some(rtp), Some(rtcp)) = (leg.latch.announced(), leg.rtcp_announced())
            && !self.ports.announce(port, key, rtp, rtcp)
        {
            tracing::warn!(leg = id, address = %rtp, "another leg of this port has the same remote address");
        }
        tracing::info!(leg = id, ?codec, moved, "leg configured");
        Ok(())
    }

    fn join_leg(&mut self, id: &str, bridge: &str, who: &str, muted: bool, now: Instant) -> Result<(), Refusal> {
        let (key, bridge_key) = (self.leg_key(id)?, self.bridge_key(bridge)?);
        check_id("participant", who)?;
        let before = self.legs.get(key).and_then(|leg| leg.membership.clone());
        if before.is_none_or(|m| m.bridge != bridge_key || &*m.participant != who) {
            self.leave_leg(key, now);
            let participant: Arc<str> = who.into();
            self.stand_no_more_alone(key);
            self.place_bridge(bridge_key);
            if let Some(bridge) = self.bridges.get_mut(bridge_key) {
                bridge.add_leg(key, participant.clone(), now);
                self.phases.insert(key, bridge.phase);
            }
            if let Some(leg) = self.legs.get_mut(key) {
                leg.membership = Some(Membership { bridge: bridge_key, participant });
            }
            self.dirty_bridges.push(bridge_key);
            tracing::info!(leg = id, bridge, participant = who, "leg joined");
        }
        self.mute_leg(id, muted)
    }

    /// Takes a leg out of its bridge, if it is in one.
    pub(super) fn leave_leg(&mut self, key: LegKey, now: Instant) {
        let Some(membership) = self.legs.get_mut(key).and_then(|leg| leg.membership.take()) else {
            return;
        };
        if let Some(bridge) = self.bridges.get_mut(membership.bridge) {
            bridge.remove_leg(key, now);
        }
        self.dirty_bridges.push(membership.bridge);
        self.stand_alone(key);
    }

    fn mute_leg(&mut self, id: &str, muted: bool) -> Result<(), Refusal> {
        let key = self.leg_key(id)?;
        let Some(leg) = self.legs.get_mut(key) else {
            return Ok(());
        };
        leg.muted = muted;
        if let Some(bridge) = leg.membership.as_ref().and_then(|m| self.bridges.get_mut(m.bridge))
            && muted
        {
            bridge.silence(MemberKey::Leg(key));
        }
        Ok(())
    }

    fn play(&mut self, id: &str, playback: String, items: &[PlayItem], repeat: bool) -> Result<(), Refusal> {
        let key = self.leg_key(id)?;
        check_id("playback", &playback)?;
        let items = self.read_items(items)?;
        if let Some(leg) = self.legs.get_mut(key) {
            leg.end_playback(PlaybackEnd::Replaced, &mut self.outbox.events);
            leg.playback = Some(Playback::new(playback, items, repeat, leg.rate()));
        }
        Ok(())
    }

    fn send_digits(&mut self, id: &str, digits: &str, duration: u32, gap: u32) -> Result<(), Refusal> {
        let leg = self.leg(id)?;
        let event = leg.stream.as_ref().and_then(|s| Some((s.ptime, s.telephone_event.as_ref()?.clock_rate)));
        let Some((ptime, clock)) = event else {
            return Err(bad_value(format!("Leg {id} has negotiated no telephone-event: digits cannot be sent")));
        };
        if !(40..=8000).contains(&duration) || !(20..=8000).contains(&gap) {
            return Err(bad_value(format!("digits of {duration} ms with gaps of {gap} ms cannot be sent; 40 to 8000")));
        }
        let queued = leg.digits.push(digits, ptime, duration, gap, clock);
        queued.map_err(|_| bad_value("digits are 0-9 * # A-D and commas, 1 to 128 of them at a time".to_owned()))
    }

    fn close_leg(&mut self, id: &str, now: Instant) -> Result<Answer, Refusal> {
        let key = self.leg_key(id)?;
        let micros = self.clock.micros(now);
        let Self { legs, outbox, clock, config, .. } = self;
        let Some(leg) = legs.get_mut(key) else {
            return Err(Refusal::new(RefusalCode::UnknownLeg, format!("There is no leg {id}")));
        };
        leg.end_playback(PlaybackEnd::Stopped, &mut outbox.events);
        leg.send_report(micros, clock, &config.cname, true, outbox);
        let statistics = leg.statistics();
        self.remove_leg(key, now);
        tracing::info!(leg = id, "leg closed");
        Ok(Answer::LegStatistics { statistics })
    }

    /// Forgets a leg and everything about it.
    pub(super) fn remove_leg(&mut self, key: LegKey, now: Instant) {
        self.leave_leg(key, now);
        self.stand_no_more_alone(key);
        self.end_recordings(key);
        if let Some(leg) = self.legs.remove(key) {
            self.ports.release(leg.port, key, self.clock.micros(now));
            self.leg_ids.remove(&leg.id);
        }
    }
}
