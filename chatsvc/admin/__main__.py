from chatsvc.admin.command import main

main(prog_name="chatsvc")
