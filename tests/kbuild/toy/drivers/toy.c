int toy_init(void)
{
	return 0;
}
