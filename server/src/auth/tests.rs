//! Tokens and keys as attackers and honest clients write them, against what the configuration says.

use carillon_config::{AuthSettings, Loader, house_sections};
use carillon_core::identity::{Authenticate as _, Shown};
use carillon_core::metrics::Metrics;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey, get_current_timestamp};
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "a secret of thirty-two bytes ....";
const OTHER: &str = "another secret of thirty-two bytes";
const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";

fn settings(flags: &[(&str, &str)]) -> AuthSettings {
    let loader = flags.iter().fold(Loader::new(house_sections()), |all, (key, text)| all.flag(*key, *text, "a test"));
    loader.load().unwrap().get("auth")
}

fn jwt(more: &[(&str, &str)]) -> Arc<Auth> {
    let flags = [&[("auth.mode", "jwt"), ("auth.key", SECRET)], more].concat();
    Auth::new(&settings(&flags)).unwrap().unwrap()
}

fn base64(text: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

/// A token of these texts, which need not be JSON.
fn raw(header: &str, claims: &str, secret: &str) -> String {
    let message = format!("{}.{}", base64(header), base64(claims));
    let signature = sign(message.as_bytes(), &EncodingKey::from_secret(secret.as_bytes()), Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn token(claims: &Value) -> String {
    raw(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string(), SECRET)
}

fn ahead(seconds: i64) -> i64 {
    get_current_timestamp() as i64 + seconds
}

fn shown(token: &str) -> Shown {
    Shown { token: Some(token.into()), ..Shown::default() }
}

/// Why a token is refused; the empty text when it is not.
fn reason(auth: &Auth, token: &str) -> &'static str {
    auth.check(&shown(token)).err().map_or("", Reason::as_str)
}

/// Claims are checked as the configuration says, with ten seconds for clocks that differ.
#[test]
fn claims_are_checked() {
    let auth = jwt(&[]);
    let named = jwt(&[("auth.issuers", "them"), ("auth.audiences", "us,we")]);
    let good = json!({"sub": "ann", "exp": ahead(60)});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        token(&claims)
    };
    for (expected, token) in [
        ("", token(&good)),
        ("", with("exp", json!(ahead(-8)))),
        ("", with("nbf", json!(ahead(8)))),
        ("expired", with("exp", json!(ahead(-12)))),
        ("expired", with("exp", json!(0))),
        ("claims", with("exp", json!("tomorrow"))),
        ("claims", with("exp", json!(1e300))),
        ("claims", with("exp", json!(u64::MAX))),
        ("claims", with("exp", Value::Null)),
        ("claims", with("exp", json!(-1))),
        ("not_yet", with("nbf", json!(ahead(12)))),
        ("claims", with("nbf", json!("later"))),
        ("claims", with("sub", json!(7))),
        ("claims", with("sub", json!(""))),
        ("claims", with("namespaces", json!("/chat"))),
        ("audience", with("aud", json!("somebody else"))),
        ("claims", token(&json!({"sub": "ann"}))),
        ("claims", token(&json!({"exp": ahead(60)}))),
    ] {
        assert_eq!(reason(&auth, &token), expected, "{token}");
    }
    let of = |iss: Value, aud: Value| token(&json!({"sub": "ann", "exp": ahead(60), "iss": iss, "aud": aud}));
    for (expected, token) in [
        ("", of(json!("them"), json!("us"))),
        ("", of(json!("them"), json!(["others", "we"]))),
        ("issuer", of(json!("others"), json!("us"))),
        ("issuer", of(Value::Null, json!("us"))),
        ("issuer", of(json!(7), json!("us"))),
        ("audience", of(json!("them"), json!("others"))),
        ("audience", of(json!("them"), json!([]))),
        ("audience", of(json!("them"), Value::Null)),
    ] {
        assert_eq!(reason(&named, &token), expected, "{token}");
    }
}

/// What a token says of its own key, algorithm and shape gets it nowhere.
#[test]
fn forged_tokens_are_refused() {
    let auth = jwt(&[]);
    let claims = json!({"sub": "ann", "exp": ahead(60)}).to_string();
    let plain = r#"{"alg":"HS256"}"#;
    let good = raw(plain, &claims, SECRET);
    assert_eq!(reason(&auth, &good), "");
    let (message, signature) = good.rsplit_once('.').unwrap();
    let altered = format!("{}A", &signature[..signature.len() - 2]);
    let unsigned = |header: &str| format!("{}.{}.", base64(header), base64(&claims));
    let duplicate = format!(r#"{{"sub":"ann","sub":"root","exp":{}}}"#, ahead(60));
    let twice = format!(r#"{{"exp":0,"sub":"ann","exp":{}}}"#, ahead(60));
    for (expected, token) in [
        ("signature", raw(plain, &claims, OTHER)),
        ("signature", format!("{message}.")),
        ("malformed", format!("{message}.!")),
        ("signature", format!("{message}.{}", &altered)),
        ("malformed", message.to_owned()),
        ("malformed", format!("{good}.")),
        ("malformed", String::new()),
        ("malformed", "..".to_owned()),
        ("algorithm", unsigned(r#"{"alg":"none"}"#)),
        ("algorithm", unsigned(r#"{"alg":"None"}"#)),
        ("malformed", unsigned("{}")),
        ("algorithm", raw(r#"{"alg":"HS384"}"#, &claims, SECRET)),
        ("algorithm", raw(r#"{"alg":"RS256"}"#, &claims, SECRET)),
        ("malformed", raw(r#"{"alg":"HS256","alg":"none"}"#, &claims, SECRET)),
        ("malformed", raw(r#"{"alg":"HS256","kid":7}"#, &claims, SECRET)),
        ("header", raw(r#"{"alg":"HS256","jku":"http://127.0.0.1/"}"#, &claims, SECRET)),
        ("header", raw(r#"{"alg":"HS256","jwk":{}}"#, &claims, SECRET)),
        ("header", raw(r#"{"alg":"HS256","x5u":"http://127.0.0.1/"}"#, &claims, SECRET)),
        ("header", raw(r#"{"alg":"HS256","crit":["exp"]}"#, &claims, SECRET)),
        ("claims", raw(plain, &duplicate, SECRET)),
        ("claims", raw(plain, &twice, SECRET)),
        ("claims", raw(plain, "[]", SECRET)),
        ("too_long", "x".repeat(LONGEST + 1)),
    ] {
        assert_eq!(reason(&auth, &token), expected, "{token}");
    }
}

/// A token names its key, and a key has one algorithm: another's secret or public key does not stand in for it.
#[test]
fn keys_are_chosen_by_name() {
    let keys = format!(
        "[{{ kid = 'old', algorithm = 'HS256', key = '{OTHER}' }}, {{ kid = 'ed', algorithm = 'EdDSA', key = '''{ED_PUBLIC}''' }}]"
    );
    let settings = settings(&[("auth.mode", "jwt"), ("auth.keys", &keys)]);
    let auth = Auth::new(&settings).unwrap().unwrap();
    let claims = json!({"sub": "ann", "exp": ahead(60)}).to_string();
    let by = |header: &str, secret| reason(&auth, &raw(header, &claims, secret));
    assert_eq!(by(r#"{"alg":"HS256","kid":"old"}"#, OTHER), "");
    assert_eq!(by(r#"{"alg":"HS256","kid":"old"}"#, SECRET), "signature");
    assert_eq!(by(r#"{"alg":"HS256","kid":"../../etc/passwd"}"#, OTHER), "unknown_key");
    assert_eq!(by(r#"{"alg":"HS256"}"#, OTHER), "unknown_key");
    assert_eq!(by(r#"{"alg":"HS256","kid":"ed"}"#, ED_PUBLIC), "algorithm");
    assert_eq!(by(r#"{"alg":"EdDSA","kid":"ed"}"#, ED_PUBLIC), "signature");
}

/// While the published keys have never been read nobody is told that a token is wrong that one of them may have signed.
#[test]
fn keys_that_were_never_read_are_our_trouble() {
    let keys = format!("[{{ kid = 'own', algorithm = 'HS256', key = '{SECRET}' }}]");
    let address = ("auth.jwks_url", "http://127.0.0.1:1/");
    let auth = Auth::new(&settings(&[("auth.mode", "jwt"), ("auth.keys", &keys), address])).unwrap().unwrap();
    let claims = json!({"sub": "ann", "exp": ahead(60)}).to_string();
    let by = |header: &str, secret| shown(&raw(header, &claims, secret));
    let told =
        |shown: &Shown| auth.authenticate(shown).err().map(|error| (error.code().as_str(), error.is_retryable()));
    assert_eq!(told(&by(r#"{"alg":"HS256","kid":"own"}"#, SECRET)), None);
    assert_eq!(told(&by(r#"{"alg":"HS256","kid":"own"}"#, OTHER)), Some(("unauthorized", false)));
    assert_eq!(told(&by(r#"{"alg":"ES256","kid":"theirs"}"#, OTHER)), Some(("unavailable", true)));
    assert_eq!(told(&by(r#"{"alg":"ES256"}"#, OTHER)), Some(("unavailable", true)));
    assert_eq!(told(&Shown::default()), Some(("unauthorized", false)));
    assert_eq!(auth.refused.with_label_values(&["keys_unread"]).get(), 2);
}

/// Beside published keys a key without a name signs no token that names one: `issue` refuses what the server would.
#[test]
fn what_is_issued_is_taken() {
    let issued = |more: &[(&str, &str)], kid: Option<&str>| {
        let settings = settings(&[&[("auth.mode", "jwt"), ("auth.key", SECRET)], more].concat());
        let claims = Claims {
            subject: "ann".to_owned(),
            lifetime: std::time::Duration::from_secs(60),
            id: None,
            issuer: None,
            audience: None,
            more: serde_json::Map::new(),
        };
        let token = issue(&settings, claims, Signing { kid: kid.map(str::to_owned), key: None, algorithm: None })?;
        assert_eq!(reason(&Auth::new(&settings).unwrap().unwrap(), &token), "");
        Ok::<_, String>(())
    };
    let published = [("auth.jwks_url", "http://127.0.0.1:1/")];
    assert_eq!(issued(&[], None), Ok(()));
    assert_eq!(issued(&[], Some("any")), Ok(()));
    assert_eq!(issued(&published, None), Ok(()));
    assert!(issued(&published, Some("any")).unwrap_err().starts_with("this configuration would refuse the token: "));
}

/// A key that has ended refuses what it signed; one that will end takes its tokens along, and leaves the others alone.
#[test]
fn keys_end() {
    let key = |kid: &str, end: &str| format!("{{ kid = '{kid}', algorithm = 'HS256', key = '{SECRET}'{end} }}");
    let (past, later) = (", valid_until = '2020-01-01T00:00:00Z'", ", valid_until = '2100-01-01T00:00:00+01:00'");
    let keys = format!("[{}, {}, {}]", key("old", past), key("now", later), key("next", ""));
    let auth = Auth::new(&settings(&[("auth.mode", "jwt"), ("auth.keys", &keys)])).unwrap().unwrap();
    let end = 4_102_441_200_u64;
    let by = |kid: &str, exp: u64| {
        let claims = json!({"sub": "ann", "exp": exp}).to_string();
        auth.check(&shown(&raw(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), &claims, SECRET)))
    };
    let ends = |kid, exp| {
        let end = by(kid, exp).unwrap().expires_at().unwrap();
        end.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs()
    };
    assert_eq!(by("old", end).unwrap_err(), Reason::KeyEnded);
    assert_eq!((ends("now", end + 1), ends("now", end - 1), ends("next", end + 1)), (end, end - 1, end + 1));
    let sha256 = "21fdbeecb49c56644f6cc4444328f5da14132c8a38fd86aad19b4da9e521a79c";
    for (until, expected) in [(past, "key_ended"), (later, "")] {
        let keys = format!("[{{ name = 'ann', sha256 = '{sha256}'{until} }}]");
        let auth = Auth::new(&settings(&[("auth.mode", "api_key"), ("auth.api_keys", &keys)])).unwrap().unwrap();
        assert_eq!(reason(&auth, "ann-key"), expected);
    }
}

/// A clock may be behind, but whoever would be closed at once is not let in: it would come back again and again.
#[test]
fn who_would_be_closed_at_once_is_not_let_in() {
    for (grace, ended_s, expected) in
        [("0", 5, "expired"), ("2000", 5, "expired"), ("8000", 5, ""), ("10000", 5, ""), ("60000", 15, "expired")]
    {
        let token = token(&json!({"sub": "ann", "exp": revocation::now() - ended_s}));
        assert_eq!(reason(&jwt(&[("auth.expiry_grace_ms", grace)]), &token), expected, "{grace} ms, {ended_s} s ago");
    }
}

/// A key that could not check anything, or that everybody knows, is told at the start.
#[test]
fn keys_that_are_none_are_told() {
    let told = |algorithm: &str, key: &str| {
        let settings = settings(&[("auth.mode", "jwt"), ("auth.algorithm", algorithm), ("auth.key", key)]);
        Auth::new(&settings).err().map_or(String::new(), |mistakes| mistakes.join("\n"))
    };
    assert_eq!(told("EdDSA", ED_PUBLIC), "");
    assert_eq!(
        told("HS256", "too short"),
        "auth.key: a secret for HS256 has at least 32 bytes: `openssl rand -hex 32` makes one"
    );
    assert_eq!(
        told("HS512", SECRET),
        "auth.key: a secret for HS512 has at least 64 bytes: `openssl rand -hex 64` makes one"
    );
    assert_eq!(told("HS256", ED_PUBLIC), "auth.key: HS256 has a secret, and this is a key in PEM");
    assert_eq!(told("ES256", ED_PUBLIC), "auth.key: is not a public key for ES256 in PEM");
    assert_eq!(told("RS256", SECRET), "auth.key: is not a public key for RS256 in PEM");
    let private = "-----BEGIN PRIVATE KEY-----\n";
    assert_eq!(told("PS256", private), "auth.key: this is a private key: the server needs the public one");
    let settings =
        settings(&[("auth.mode", "jwt"), ("auth.keys", "[{ algorithm = 'HS256', key_file = '/no/such/file' }]")]);
    let mistakes = Auth::new(&settings).err().unwrap();
    assert!(mistakes[0].starts_with("auth.keys[0]: cannot read /no/such/file: "), "{mistakes:?}");
}

/// API keys are found by their digest, wherever they stand, and give what the configuration says.
#[test]
fn api_keys_are_checked() {
    // What `printf %s ann-key | sha256sum` prints.
    let digest = "21fdbeecb49c56644f6cc4444328f5da14132c8a38fd86aad19b4da9e521a79c";
    let keys = format!(
        "[{{ name = 'ann', sha256 = '{digest}', events = ['say'], roles = ['operator'], info = {{ team = 'blue' }} }}]"
    );
    let auth = Auth::new(&settings(&[("auth.mode", "api_key"), ("auth.api_keys", &keys)])).unwrap().unwrap();
    let ann = auth.check(&shown("ann-key")).unwrap();
    assert_eq!((ann.subject(), ann.may_send("say"), ann.may_send("shout")), ("ann", true, false));
    assert!(ann.has_role("operator") && ann.may_enter("/any") && ann.expires_at().is_none());
    assert_eq!(ann.claim::<std::collections::BTreeMap<String, String>>("info").unwrap()["team"], "blue");
    let header = |authorization: Option<&str>, api_key: Option<&str>| {
        let shown = Shown {
            authorization: authorization.map(Into::into),
            api_key: api_key.map(Into::into),
            ..Shown::default()
        };
        auth.check(&shown).err().map_or("", Reason::as_str)
    };
    assert_eq!(header(Some("Bearer ann-key"), None), "");
    assert_eq!(header(Some("bearer  ann-key"), None), "");
    assert_eq!(header(None, Some("ann-key")), "");
    assert_eq!(header(Some("Basic ann-key"), None), "missing");
    assert_eq!(header(None, Some("Ann-key")), "unknown_key");
    assert_eq!(header(None, Some(digest)), "unknown_key");
    assert_eq!(header(None, None), "missing");
}

/// The client is told one text, whatever the reason; the reason is counted.
#[test]
fn every_refusal_says_the_same() {
    let auth = jwt(&[]);
    let metrics = Metrics::new().unwrap();
    register(&metrics, Some(&auth)).unwrap();
    for shown in [Shown::default(), shown("x"), shown(&raw(r#"{"alg":"HS256"}"#, "{}", OTHER))] {
        let error = auth.authenticate(&shown).unwrap_err();
        assert_eq!((error.code().as_str(), error.message()), ("unauthorized", "a valid token or key is needed"));
        assert!(!error.is_retryable());
    }
    let text = metrics.render().unwrap();
    for reason in ["missing", "malformed", "signature"] {
        assert!(text.contains(&format!("carillon_auth_refused_total{{reason=\"{reason}\"}} 1")), "{text}");
    }
    assert!(text.contains("carillon_auth_refused_total{reason=\"expired\"} 0"), "{text}");
}
