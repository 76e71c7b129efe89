// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/vcio: messages for the property mailbox of Raspberry Pi firmware, from
 * user space, as the kernel of Raspberry Pi has it.
 *
 * The argument of the only request points to one message, which is read, and
 * overwritten with the answer if the firmware takes it. Its words of 32 bits are:
 *
 *	0	length of the message in bytes, with this word
 *	1	0; in the answer RPI_FIRMWARE_STATUS_SUCCESS
 *	2...	tags, one after the other: id, room for values in bytes, length
 *		of the values, the values up to a whole word
 *	last	0, the end of the tags
 */

#include <linux/align.h>
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/ioctl.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <soc/bcm2835/raspberrypi-firmware.h>

#define VCIO_PROPERTY		_IOWR(100, 0, char *)
#define VCIO_PROPERTY_COMPAT	_IOWR(100, 0, compat_uptr_t)

/* Words before the first tag, before the values of a tag, and after the last tag */
#define VCIO_HEADER_WORDS	2
#define VCIO_TAG_WORDS		3
#define VCIO_END_WORDS		1

/* The shortest message has one tag without values. Known ones have 1 KiB at the most. */
#define VCIO_MIN_WORDS		(VCIO_HEADER_WORDS + VCIO_TAG_WORDS + VCIO_END_WORDS)
#define VCIO_MIN_SIZE		(VCIO_MIN_WORDS * sizeof(__le32))
#define VCIO_MAX_SIZE		SZ_4K

/*
 * The firmware trusts the lengths in tags, so all of them have to lie within
 * the message. What follows a tag 0 is not looked at.
 */
static bool vcio_tags_are_sound(const __le32 *tags, size_t words)
{
	while (words && tags[0]) {
		u32 room;

		if (words < VCIO_TAG_WORDS)
			return false;
		words -= VCIO_TAG_WORDS;
		room = le32_to_cpu(tags[1]);
		if (room > words * sizeof(*tags))
			return false;
		room = ALIGN(room, sizeof(*tags)) / sizeof(*tags);
		words -= room;
		tags += VCIO_TAG_WORDS + room;
	}
	return true;
}

static int vcio_send(struct rpi_firmware *firmware, __le32 *message, u32 size)
{
	const size_t words = size / sizeof(*message);
	const size_t tag_words = words - VCIO_HEADER_WORDS - VCIO_END_WORDS;
	__le32 *tags = message + VCIO_HEADER_WORDS;
	int ret;

	if (message[words - 1] || !vcio_tags_are_sound(tags, tag_words))
		return -EINVAL;

	ret = rpi_firmware_property_list(firmware, tags, tag_words * sizeof(*tags));
	if (ret)
		return ret;

	/* The caller may have changed the length after it was read for the first time */
	message[0] = cpu_to_le32(size);
	message[1] = cpu_to_le32(RPI_FIRMWARE_STATUS_SUCCESS);
	return 0;
}

static long vcio_property(struct rpi_firmware *firmware, void __user *user)
{
	__le32 *message;
	__le32 first;
	u32 size;
	int ret;

	if (copy_from_user(&first, user, sizeof(first)))
		return -EFAULT;
	size = le32_to_cpu(first);
	if (size < VCIO_MIN_SIZE || size > VCIO_MAX_SIZE || !IS_ALIGNED(size, sizeof(*message)))
		return -EINVAL;

	message = memdup_user(user, size);
	if (IS_ERR(message))
		return PTR_ERR(message);

	ret = vcio_send(firmware, message, size);
	if (!ret && copy_to_user(user, message, size))
		ret = -EFAULT;
	kfree(message);
	return ret;
}

static long vcio_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	if (request != VCIO_PROPERTY)
		return -ENOTTY;
	return vcio_property(file->private_data, (void __user *)argument);
}

#ifdef CONFIG_COMPAT
static long vcio_compat_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	if (request != VCIO_PROPERTY_COMPAT)
		return -ENOTTY;
	return vcio_property(file->private_data, compat_ptr(argument));
}
#endif

static int vcio_open(struct inode *inode, struct file *file)
{
	struct device_node *node;
	struct rpi_firmware *firmware;

	/* The firmware can be told to write to memory, and to the boot ROM's settings */
	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;

	node = rpi_firmware_find_node();
	firmware = rpi_firmware_get(node);
	of_node_put(node);
	if (!firmware)
		return -ENODEV;

	file->private_data = firmware;
	return nonseekable_open(inode, file);
}

static int vcio_release(struct inode *inode, struct file *file)
{
	rpi_firmware_put(file->private_data);
	return 0;
}

static const struct file_operations vcio_fops = {
	.owner = THIS_MODULE,
	.open = vcio_open,
	.release = vcio_release,
	.unlocked_ioctl = vcio_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = vcio_compat_ioctl,
#endif
};

static struct miscdevice vcio_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vcio",
	.fops = &vcio_fops,
	.mode = 0600,
};

static int __init vcio_init(void)
{
	struct device_node *node = rpi_firmware_find_node();

	/* Nothing announces the device, so the module is loaded on other machines, too */
	if (!node)
		return -ENODEV;
	of_node_put(node);
	return misc_register(&vcio_device);
}
module_init(vcio_init);

static void __exit vcio_exit(void)
{
	misc_deregister(&vcio_device);
}
module_exit(vcio_exit);

MODULE_DESCRIPTION("Property mailbox of Raspberry Pi firmware for user space");
MODULE_LICENSE("GPL");
