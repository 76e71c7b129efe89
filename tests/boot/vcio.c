/* Talks to /dev/vcio without a C library: bad messages first, then the one that arms tryboot. */

#define VCIO_PROPERTY 0xc0086400 /* _IOWR(100, 0, char *) */
#define SYS_IOCTL 29
#define SYS_OPENAT 56
#define SYS_WRITE 64
#define SYS_EXIT 93

static long call(long number, long a, long b, long c)
{
	register long x0 asm("x0") = a;
	register long x1 asm("x1") = b;
	register long x2 asm("x2") = c;
	register long x8 asm("x8") = number;

	asm volatile("svc 0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x8) : "memory");
	return x0;
}

static void say(const char *name, long value)
{
	char line[64];
	int length = 0;
	unsigned long left = value < 0 ? -value : value;
	unsigned long unit = 1;

	while (left / unit > 9)
		unit *= 10;
	while (*name)
		line[length++] = *name++;
	line[length++] = '=';
	if (value < 0)
		line[length++] = '-';
	for (; unit; unit /= 10)
		line[length++] = '0' + left / unit % 10;
	line[length++] = '\n';
	call(SYS_WRITE, 1, (long)line, length);
}

void _start(void)
{
	static unsigned int message[2048];
	const long here = -100; /* AT_FDCWD */
	long fd = call(SYS_OPENAT, here, (long)"/dev/vcio", 2);
	static const struct {
		const char *name;
		unsigned int size, room, end;
	} bad[] = {
		{ "short", 20, 4, 0 },	      { "odd", 30, 4, 0 },	{ "long", 4100, 4, 0 },
		{ "huge", 0xfffffffc, 4, 0 }, { "room", 28, 5, 0 },	{ "all", 28, 0xffffffff, 0 },
		{ "end", 28, 4, 1 },
	};

	say("open", fd < 0 ? fd : 0);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		message[0] = bad[i].size;
		message[2] = 0x00038064;
		message[3] = bad[i].room;
		message[6] = bad[i].end;
		say(bad[i].name, call(SYS_IOCTL, fd, VCIO_PROPERTY, (long)message));
	}
	say("request", call(SYS_IOCTL, fd, VCIO_PROPERTY + 1, (long)message));
	say("nowhere", call(SYS_IOCTL, fd, VCIO_PROPERTY, 8));

	/* Size, state, tag, room, length, flag, end */
	message[0] = 28;
	message[1] = 0;
	message[3] = 4;
	message[5] = 1;
	message[6] = 0;
	say("arm", call(SYS_IOCTL, fd, VCIO_PROPERTY, (long)message));
	say("answer", message[1] == 0x80000000);
	call(SYS_EXIT, 0, 0, 0);
}
