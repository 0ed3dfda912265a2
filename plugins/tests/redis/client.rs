//! A Redis client that shares no code with the bus: what another program does.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One plain connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) async fn connect(port: u16) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap()) }
    }

    /// Whether a server answers at all, be it with "password required".
    pub(crate) async fn answers(port: u16) -> bool {
        let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
        let mut client = Self { stream: BufReader::new(stream) };
        client.send(&[&[b"PING"]]).await;
        let mut line = String::new();
        matches!(client.stream.read_line(&mut line).await, Ok(read) if read > 0)
    }

    /// Sends commands without waiting for the replies.
    async fn send(&mut self, commands: &[&[&[u8]]]) {
        let mut bytes = Vec::new();
        for command in commands {
            bytes.extend(format!("*{}\r\n", command.len()).into_bytes());
            for part in *command {
                bytes.extend(format!("${}\r\n", part.len()).into_bytes());
                bytes.extend(*part);
                bytes.extend(b"\r\n");
            }
        }
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn reply(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        let line = line.trim_end().to_owned();
        match line.strip_prefix('$').map(|length| length.parse::<usize>()) {
            Some(Ok(length)) => {
                let mut value = vec![0; length + 2];
                self.stream.read_exact(&mut value).await.unwrap();
                String::from_utf8_lossy(&value[..length]).into_owned()
            }
            _ => line,
        }
    }

    /// Sends one command and returns its reply.
    pub(crate) async fn command(&mut self, parts: &[&str]) -> String {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        self.send(&[&parts]).await;
        self.reply().await
    }

    /// Publishes in one go, as fast as the socket takes it; returns how many subscribers each one reached.
    pub(crate) async fn publish(&mut self, channel: &str, payloads: &[Vec<u8>]) -> Vec<String> {
        let commands: Vec<[&[u8]; 3]> =
            payloads.iter().map(|payload| [&b"PUBLISH"[..], channel.as_bytes(), payload]).collect();
        let commands: Vec<&[&[u8]]> = commands.iter().map(|command| &command[..]).collect();
        let mut replies = Vec::new();
        for commands in commands.chunks(500) {
            self.send(commands).await;
            for _ in commands {
                replies.push(self.reply().await);
            }
        }
        replies
    }
}
