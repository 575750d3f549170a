//! Writes recordings, on a thread of its own: the packet thread never waits for a disk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use dialroom_audio::audio::resample::Resampler;
use dialroom_audio::audio::wav;
use dialroom_media::outbox::TapId;
use dialroom_media::{Tap, Token};
use dialroom_protocol::{Answer, Refusal, RefusalCode};
use tracing::{error, info};

/// Frames that may wait for the disk; further ones are lost.
const MAX_WAITING: usize = 4096;
/// Longest file: what a WAV header can say, less room for it.
const MAX_DATA_BYTES: u32 = u32::MAX - 1024;

/// The packet thread's end.
pub struct Recorder {
    sender: Sender<Tap>,
    waiting: Arc<AtomicUsize>,
    lost: AtomicU64,
}

/// What the recorder tells.
pub enum Told {
    /// A command is answered.
    Answer(Token, Answer),
    /// A file cannot be written (any more).
    Failed(TapId),
}

impl Recorder {
    /// Starts the thread. What it tells goes to `tell`.
    pub fn start(tell: impl Fn(Told) + Send + 'static) -> io::Result<Self> {
        let (sender, inbox) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let count = waiting.clone();
        std::thread::Builder::new().name("recorder".into()).spawn(move || run(&inbox, &count, &tell))?;
        Ok(Self { sender, waiting, lost: AtomicU64::new(0) })
    }

    /// Hands something on, without waiting.
    pub fn take(&self, tap: Tap) {
        if matches!(tap, Tap::Frame { .. }) {
            if self.waiting.load(Ordering::Relaxed) >= MAX_WAITING {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        if self.sender.send(tap).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Frames that the disk was too slow for.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

fn run(inbox: &Receiver<Tap>, waiting: &AtomicUsize, tell: &dyn Fn(Told)) {
    let mut files: HashMap<TapId, Recording> = HashMap::new();
    while let Ok(message) = inbox.recv() {
        match message {
            Tap::Open { tap, path, rate, token } => match Recording::create(&path, rate) {
                Ok(recording) => {
                    info!(path, rate, "recording started");
                    files.insert(tap, recording);
                    tell(Told::Answer(token, Answer::Done {}));
                }
                Err(error) => {
                    tell(Told::Failed(tap));
                    let message =
                        format!("The recording cannot be written to {path}: {error}; check folder and rights");
                    let refusal = Refusal::new(RefusalCode::BadValue, message);
                    tell(Told::Answer(token, Answer::Refused(refusal)));
                }
            },
            Tap::Frame { tap, length, samples } => {
                waiting.fetch_sub(1, Ordering::Relaxed);
                let written = files.get_mut(&tap).map(|recording| recording.write(&samples[..length]));
                if let Some(Err(error)) = written {
                    error!(%error, "a recording cannot be written on; it ends here");
                    files.remove(&tap);
                    tell(Told::Failed(tap));
                }
            }
            Tap::Close { tap, token } => {
                let done = files.remove(&tap).map_or(Ok(()), Recording::finish);
                if let Err(error) = &done {
                    error!(%error, "a recording cannot be completed");
                }
                if let Some(token) = token {
                    let answer = match done {
                        Ok(()) => Answer::Done {},
                        Err(error) => Answer::Refused(Refusal::new(
                            RefusalCode::Internal,
                            format!("The recording could not be completed: {error}"),
                        )),
                    };
                    tell(Told::Answer(token, answer));
                }
            }
        }
    }
}

struct Recording {
    file: BufWriter<File>,
    rate: u32,
    data_bytes: u32,
    /// From frames of another rate than the file's, which come after a change of codec.
    resampler: Option<(u32, Resampler)>,
}

impl Recording {
    fn create(path: &str, rate: u32) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&wav::header(rate, 1, 0))?;
        file.flush()?;
        Ok(Self { file, rate, data_bytes: 0, resampler: None })
    }

    fn write(&mut self, samples: &[i16]) -> io::Result<()> {
        let rate = samples.len() as u32 * 50;
        let mut converted = [0i16; 1024];
        let samples = if rate == self.rate {
            samples
        } else {
            if self.resampler.as_ref().is_none_or(|(from, _)| *from != rate) {
                self.resampler = Resampler::new(rate, self.rate).map(|resampler| (rate, resampler));
            }
            match &mut self.resampler {
                Some((_, resampler)) => {
                    let length = resampler.process(samples, &mut converted);
                    &converted[..length]
                }
                None => return Ok(()),
            }
        };
        let bytes = samples.len() as u32 * 2;
        if self.data_bytes > MAX_DATA_BYTES - bytes {
            return Err(io::Error::other("a WAV file cannot be longer than 4 GB"));
        }
        for sample in samples {
            self.file.write_all(&sample.to_le_bytes())?;
        }
        self.data_bytes += bytes;
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&wav::header(self.rate, 1, self.data_bytes))?;
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_recording_is_complete_when_its_stop_is_answered_and_keeps_its_rate() {
        let folder = std::env::temp_dir().join(format!("dialroom-recorder-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.wav");
        let (told, heard) = channel();
        let recorder = Recorder::start(move |message| told.send(message).unwrap()).unwrap();
        let token = |request| Token { connection: 1, request };
        recorder.take(Tap::Open { tap: 1, path: path.to_string_lossy().into_owned(), rate: 8000, token: token(1) });
        for length in [160, 160, 320] {
            recorder.take(Tap::Frame { tap: 1, length, samples: [1000; 320] });
        }
        recorder.take(Tap::Close { tap: 1, token: Some(token(2)) });
        for request in [1, 2] {
            assert!(matches!(heard.recv().unwrap(), Told::Answer(t, Answer::Done {}) if t == token(request)));
        }
        let wav = wav::read(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((wav.hz, wav.samples.len()), (8000, 480));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_said_so() {
        let (told, heard) = channel();
        let recorder = Recorder::start(move |message| told.send(message).unwrap()).unwrap();
        let token = Token { connection: 1, request: 1 };
        recorder.take(Tap::Open { tap: 7, path: "/nowhere/at/all.wav".into(), rate: 8000, token });
        assert!(matches!(heard.recv().unwrap(), Told::Failed(7)));
        assert!(matches!(heard.recv().unwrap(), Told::Answer(_, Answer::Refused(_))));
    }
}
