//! `/table`: how many sit at a table, on all Carillons.

use carillon_core::prelude::*;

/// How many may sit at one.
const SEATS: usize = 4;

struct Table {
    host: Host,
}

impl Plugin for Table {
    const NAME: &'static str = "table";
    const NAMESPACE: &'static str = "/table";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.presence("players", "How many sit at the table.").rooms("table:");
        on.event("sit", "Takes a seat; answers with how many sit there.", Self::sit);
    }
}

impl Table {
    async fn sit(self: Arc<Self>, ctx: Ctx, table: u32) -> Result<usize> {
        let room = format!("table:{table}");
        let table = self.host.to("/table").room(&room);
        if table.present().is_some_and(|players| players >= SEATS) {
            return Err(Error::unavailable("the table is full"));
        }
        ctx.join(&room)?;
        Ok(table.present().unwrap_or(1))
    }
}
plugin!(Table);

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_core::testing::Harness;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn who_sits_at_a_table_is_told_how_many_do() {
        let harness = Harness::of::<Table>().await;
        let mut players = Vec::new();
        for count in 1..=SEATS {
            let mut player = harness.connect("/table").await.unwrap();
            assert_eq!(player.call("sit", json!(7)).await["data"], json!(count));
            players.push(player);
        }
        let mut late = harness.connect("/table").await.unwrap();
        assert_eq!(late.call("sit", json!(7)).await["error"]["message"], "the table is full");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(players[3].expect("players").await, json!({"room": "table:7", "count": SEATS}));
    }
}
