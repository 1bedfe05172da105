#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/rand.h"
#include "cli/wg.h"
#include "crypto/keys.h"
#include "wireguard/value.h"

static void print_key(const struct cli *cli, const uint8_t key[static KEY_LEN])
{
	char text[BASE64_LEN(KEY_LEN) + 2];
	size_t n;

	(void)base64_encode(text, key, KEY_LEN);
	n = strlen(text);
	text[n++] = '\n';
	(void)fwrite(text, 1, n, cli->out);
	explicit_bzero(text, sizeof(text));
}

static void warn_if_readable(const struct cli *cli)
{
	struct stat st;
	int fd = fileno(cli->out);

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IRWXO))
		(void)fputs("Warning: writing to world accessible file.\n"
		            "Consider setting the umask to 077 and trying again.\n",
		            cli->err);
}

int wg_run_genkey(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_WIPE(node_priv) key;

	(void)opts;
	(void)argc;
	(void)argv;
	warn_if_readable(cli);
	node_priv_new(&key);
	print_key(cli, key.b);
	return 0;
}

int wg_run_genpsk(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_WIPE(psk) key;

	(void)opts;
	(void)argc;
	(void)argv;
	warn_if_readable(cli);
	rand_bytes(key.b, sizeof(key.b));
	print_key(cli, key.b);
	return 0;
}

enum { STDIN_MAX = 64 << 10 };

static bool only_space(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != ' ' && s.p[i] != '\0' && !(s.p[i] >= '\t' && s.p[i] <= '\r'))
			return false;
	return true;
}

int wg_run_pubkey(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(buf) struct buf in = { .secret = true };
	AUTO_WIPE(node_priv) key;
	struct node_pub pub;
	int r = file_read_fd(STDIN_FILENO, STDIN_MAX, &in);

	(void)opts;
	(void)argc;
	(void)argv;
	if (r < 0)
		return cmd_fail(cli, "cannot read the private key: %s", err_text(r));
	if (wg_value_key(span_first(buf_span(&in), WG_KEY_TEXT), key.b, NULL) < 0) {
		(void)fputs("Key is not the correct length or format\n", cli->err);
		return 1;
	}
	if (!only_space(span_from(buf_span(&in), WG_KEY_TEXT))) {
		(void)fputs("Trailing characters found after key\n", cli->err);
		return 1;
	}
	key_clamp(key.b);
	node_priv_public(&key, &pub);
	print_key(cli, pub.b);
	return 0;
}
