"""Secrets as they stand in logs, made anew at each run: none of them is anybody's, none is in a file."""

import base64
import random
import string
from pathlib import Path

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
BASE64 = LETTERS + "+/"
ORDINARY = Path(__file__).parent.joinpath("redaction/ordinary.txt").read_text().splitlines()


def drawn(rng: random.Random, size: int, alphabet: str = LETTERS) -> str:
    """Draw until it looks drawn, as real ones do: letters and digits, none too often."""
    while True:
        text = "".join(rng.choice(alphabet) for _ in range(size))
        mixed = any(c.isdigit() for c in text) and any(c.isalpha() for c in text)
        if mixed and len(set(text)) > min(size, len(alphabet)) * 0.4:
            return text


def kinds(rng: random.Random):
    """Yield ``(kind, secret, line)``: how programs and people write each kind down."""

    def d(size: int, alphabet: str = LETTERS) -> str:
        return drawn(rng, size, alphabet)

    def b64(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    upper = string.ascii_uppercase + "234567"
    aws, gh = "AKIA" + d(16, upper), "ghp_" + d(36)
    yield "aws", aws, f"aws_access_key_id = {aws}"
    for line in (
        "export AWS_SECRET_ACCESS_KEY={}",
        "aws_secret_access_key = {}",
        '"SecretAccessKey": "{}",',
    ):
        secret = d(40, BASE64)
        yield "aws", secret, line.format(secret)
    yield "github", gh, f"remote: Invalid token {gh} for user x"
    for prefix, size in (("gho_", 36), ("ghs_", 36), ("ghu_", 36), ("ghr_", 36)):
        secret = prefix + d(size)
        yield "github", secret, f"git clone https://x-access-token:{secret}@github.com/o/r.git"
    secret = "github_pat_" + d(22) + "_" + d(59)
    yield "github", secret, f"GITHUB_TOKEN={secret} gh pr list"
    secret = "glpat-" + d(20)
    yield "gitlab", secret, f"PRIVATE-TOKEN: {secret}"
    secret = "glrt-" + d(20)
    yield "gitlab", secret, f"runner registered with {secret}"
    numbers = f"{rng.randrange(10**11, 10**12)}-{rng.randrange(10**11, 10**12)}"
    for secret in (f"xoxb-{numbers}-{d(24)}", f"xoxp-{numbers}-{numbers[:12]}-{d(32, HEX)}"):
        yield "slack", secret, f"slack: auth.test failed for {secret}"
    secret = f"T{d(8, upper)}/B{d(8, upper)}/{d(24)}"
    yield "slack", secret, f"POST https://hooks.slack.com/services/{secret} 404"
    for prefix in ("sk_live_", "rk_live_", "sk_test_"):
        secret = prefix + d(24)
        yield "stripe", secret, f"stripe.api_key = '{secret}'"
    secret = "whsec_" + d(32)
    yield "stripe", secret, f"STRIPE_WEBHOOK={secret}"
    secret = "AIza" + d(35)
    yield (
        "google",
        secret,
        f"GET https://maps.googleapis.com/maps/api/geocode/json?key={secret}&q=x",
    )
    secret = "ya29." + d(60)
    yield "google", secret, f"Using access token {secret}"
    secret = "GOCSPX-" + d(28)
    yield "google", secret, f'"client_secret":"{secret}"'
    for secret in (
        f"sk-{d(48)}",
        f"sk-proj-{d(20)}T3BlbkFJ{d(20)}",
        f"sk-ant-api03-{d(93)}AA",
        f"sk-or-v1-{d(64, HEX)}",
    ):
        yield "model", secret, f"Incorrect API key provided: {secret}. You can find your key at"
    for secret in (
        f"hf_{d(34, string.ascii_letters + '1')}",
        f"gsk_{d(52)}",
        f"r8_{d(37)}",
        f"xai-{d(80)}",
    ):
        yield "model", secret, f"using {secret}"
    secret = "npm_" + d(36)
    yield "npm", secret, f"//registry.npmjs.org/:_authToken={secret}"
    secret = f"{d(8, HEX)}-{d(4, HEX)}-{d(4, HEX)}-{d(4, HEX)}-{d(12, HEX)}"
    yield "npm", secret, f"//npm.example.org/:_authToken={secret}"
    secret = "pypi-AgEIcHlwaS5vcmc" + d(120)
    yield "pypi", secret, f"twine upload -u __token__ -p {secret} dist/*"
    secret = f"SG.{d(22)}.{d(43)}"
    yield "sendgrid", secret, f"sendgrid key {secret} rejected"
    secret = "SK" + d(32, HEX)
    yield "twilio", secret, f"Twilio(api_key={secret!r})"
    secret = d(32, HEX)
    yield "twilio", secret, f"TWILIO_AUTH_TOKEN={secret}"
    secret = "key-" + d(32, HEX)
    yield "mailgun", secret, f"curl -s --user 'api:{secret}' https://api.mailgun.net/v3/d/messages"
    secret = f"{rng.randrange(10**9, 10**10)}:AA{d(33)}"
    yield "telegram", secret, f"https://api.telegram.org/bot{secret}/getMe"
    secret = f"M{d(25)}.{d(6)}.{d(38)}"
    yield "discord", secret, f"client.login('{secret}')"
    secret = d(68)
    yield (
        "discord",
        secret,
        f"https://discord.com/api/webhooks/{rng.randrange(10**17, 10**18)}/{secret}",
    )
    jwt = ".".join(
        base64.urlsafe_b64encode(part.encode()).decode().rstrip("=")
        for part in (
            '{"alg":"HS256","typ":"JWT"}',
            f'{{"sub":"{d(10)}","name":"A B","iat":1516239022}}',
            d(32),
        )
    )
    for line in (
        "Authorization: Bearer {}",
        "set jwt {}",
        "Cookie: session={}; theme=dark",
        '{{"id_token":"{}"}}',
    ):
        yield "jwt", jwt, line.format(jwt)
    for label in ("RSA ", "OPENSSH ", "EC ", ""):
        body = "\n".join(d(64, BASE64) for _ in range(6))
        yield (
            "private key",
            body,
            f"-----BEGIN {label}PRIVATE KEY-----\n{body}\n-----END {label}PRIVATE KEY-----",
        )
    body = d(64, BASE64) + "\\n" + d(64, BASE64)
    yield (
        "private key",
        body,
        f'"private_key": "-----BEGIN PRIVATE KEY-----\\n{body}\\n-----END PRIVATE KEY-----\\n",',
    )
    body = d(64, BASE64)
    yield "private key", body, f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n"  # the end was cut off
    for scheme in ("postgres", "mysql", "mongodb+srv", "redis", "amqp", "https"):
        secret = d(12) + rng.choice("!-_.~*")
        yield (
            "url",
            secret,
            f"could not connect to {scheme}://app:{secret}@db.example.org:5432/main",
        )
    secret = d(14)
    yield "url", secret, f"redis://:{secret}@cache:6379/0"
    secret = d(40, HEX)
    yield "url", secret, f"fatal: unable to access 'https://{secret}@git.example.org/a.git/'"
    secret = b64(f"user:{d(14)}")
    yield "header", secret, f"> Authorization: Basic {secret}"
    secret = d(40)
    yield "header", secret, f"authorization: token {secret}"
    secret = d(32)
    yield "header", secret, f"-H 'X-Api-Key: {secret}'"
    secret = d(26)
    yield "header", secret, f'curl -H "Authorization: Bearer {secret}" https://api.example.org'
    secret = d(32)
    yield "cookie", secret, f"Set-Cookie: sessionid={secret}; HttpOnly; Path=/"
    for name in (
        "DB_PASSWORD",
        "POSTGRES_PASSWORD",
        "PGPASSWORD",
        "MYSQL_PWD",
        "SECRET_KEY",
        "DJANGO_SECRET_KEY",
    ):
        secret = d(16) + rng.choice("!%^*-")
        yield "password", secret, f"{name}={secret}"
    for line in ("password: {}", "spring.datasource.password={}", '"password": "{}"', "--password {} --port 3306",
                 "Server=db;User Id=sa;Password={};", "sshpass -p {} ssh host", "machine h login u password {}",
                 "user = 'a', password = '{}'", "passphrase={}"):  # fmt: skip
        secret = d(13)
        yield "password", secret, line.format(secret)
    for line in ("api_key={}", '"apiKey": "{}"', "api-key: {}", "ENCRYPTION_KEY={}", "client_secret={}", "access_token={}&x=1",
                 "?access_token={}", "refresh_token: '{}'", "auth_token => {}", "VAULT_TOKEN={}", "secret: {}"):  # fmt: skip
        secret = d(32)
        yield "key", secret, line.format(secret)
    secret = d(86, BASE64) + "=="
    yield (
        "azure",
        secret,
        f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={secret};EndpointSuffix=core",
    )
    secret = d(43).replace("+", "a") + "%3D"
    yield "azure", secret, f"https://a.blob.core.windows.net/c/b?sv=2022&sr=b&sig={secret}"
    secret = d(64, HEX)
    yield (
        "presigned",
        secret,
        f"https://b.s3.amazonaws.com/k?X-Amz-Expires=3600&X-Amz-Signature={secret}",
    )
    for secret in (f"dop_v1_{d(64, HEX)}", f"dapi{d(32, HEX)}", f"dckr_pat_{d(27)}", f"shpat_{d(32, HEX)}", f"lin_api_{d(40)}",
                   f"ntn_{rng.randrange(10**10, 10**11)}{d(35)}", f"hvs.{d(96)}", f"figd_{d(40)}", f"tskey-auth-{d(12)}-{d(32)}",
                   f"nfp_{d(36)}", f"glsa_{d(32)}_{d(8, HEX)}", f"rubygems_{d(48, HEX)}", f"AGE-SECRET-KEY-1{d(58, 'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L')}",
                   f"sntrys_eyJ{d(100)}_{d(43)}", f"NRAK-{d(27, string.ascii_uppercase + string.digits)}", f"PMAK-{d(24, HEX)}-{d(34, HEX)}",
                   f"ATATT3{d(186)}", f"re_{d(8)}_{d(24)}"):  # fmt: skip
        yield "token", secret, f"ERROR request with {secret} was refused"
    secret = f"pat{d(14)}.{d(64, HEX)}"
    yield "token", secret, f"airtable: {secret} was refused"
    secret = "$6$" + d(12) + "$" + d(86, LETTERS + "./")
    yield "hash", secret, f"root:{secret}:19000:0:99999:7:::"
    secret = "$2b$12$" + d(53, LETTERS + "./")
    yield "hash", secret, f"htpasswd admin:{secret}"
    secret = b64(f"u:{d(20)}")
    yield "registry", secret, '{"auths":{"ghcr.io":{"auth":"' + secret + '"}}}'
    for line in ("SMTP_PASS={}", "ansible_become_pass: {}", "pass: {}", "my secret is {}", "API Key: {}", "password for app is {}",
                 "mysql -u root -p{} main", "docker login -u me -p {} ghcr.io", "db.example.org:5432:main:app:{}",
                 "Bearer: {}", "jenkins:{}@ci.example.org", "sonar.login={}", "DD_APP_KEY={}", "token {}"):  # fmt: skip
        secret = "k" + d(27) + "Xy7"
        yield "as it is said", secret, line.format(secret)
    base32 = "abcdefghijklmnopqrstuvwxyz234567"
    for secret in (f"sq0csp-{d(43)}", f"oy2{d(43, base32)}", f"CFPAT-{d(43)}", f"sl.{d(140)}", f"ATCTT3xFfG{d(170)}", f"ATBB{d(32)}",
                   f"rzp_live_{d(14)}", f"pk.eyJ1Ijoi{d(60)}.{d(22)}", f"squ_{d(40, HEX)}", f"v2.local.{d(100)}",
                   f"access_token$production${d(16, HEX)}${d(32, HEX)}"):  # fmt: skip
        yield "another token", secret, f"ERROR request with {secret} was refused"
    secret = b64("-----BEGIN RSA PRIVATE KEY-----" + d(60))
    yield "private key", secret, f"    client-key-data: {secret}"


def ordinary(rng: random.Random):
    """Yield 10,000 lines as programs print them, which look a little like secrets."""
    for number in range(10_000):
        yield ORDINARY[number % len(ORDINARY)].format(
            time=f"2026-11-28T10:{rng.randrange(60):02}:{rng.randrange(60):02}Z",
            n=rng.randrange(1, 90_000), b=rng.randrange(1, 99), f=f"{rng.random() * 100:.2f}",
            hex7=drawn(rng, 7, HEX), hex8=drawn(rng, 8, HEX), hex16=drawn(rng, 16, HEX),
            hex32=drawn(rng, 32, HEX), hex40=drawn(rng, 40, HEX), hex64=drawn(rng, 64, HEX),
            hex16_upper=drawn(rng, 16, HEX).upper(), hex40_upper=drawn(rng, 40, HEX).upper(),
            b64_22=drawn(rng, 22, BASE64), b64_43=drawn(rng, 43, BASE64), b64_86=drawn(rng, 86, BASE64),
            uuid="-".join(drawn(rng, size, HEX) for size in (8, 4, 4, 4, 12)),
        )  # fmt: skip
