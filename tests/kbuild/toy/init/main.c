int fork(void);

int start_kernel(void)
{
	return fork();
}
