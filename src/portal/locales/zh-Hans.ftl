# 简体中文

# 开始
start-title = 用手机付款
start-lead = 无需安装应用：连接、选择收银台、付款。
start-till = 您在 { $till } 号收银台。
start-ended = 本次访问已结束，您可以在此重新开始。
closed-text = 目前无法用手机付款，请在收银台用其他方式付款。
terms-title = 使用条款
terms-text = 此 Wi-Fi 用于在收银台付款。为完成付款，商店会处理收银台号、金额和时间。您的账号和密码只发送给支付平台，商店无法看到。
start-accept = 同意并继续
language-label = 语言

# 收银台号
enter-title = 您在几号收银台？
enter-hint = 号码写在收银台的卡片上。
enter-label = 收银台号
enter-button = 继续
enter-wrong = 没有 { $till } 号收银台，请核对卡片上的号码。
enter-no-number = 这不是收银台号，请核对卡片上的号码。
enter-guesses-left =
    { $count ->
       *[other] 还可以试 { $count } 次。
    }
enter-pause = 输错次数太多，请稍后再试。
enter-not-mine = 好的，那不是您的消费。轮到您时，请重新输入收银台号。
enter-confirm-over = 确认时间已过。如果您还在收银台，请重新输入号码。
enter-idle = 收银台有一段时间没有动静。如果您还在，请重新输入号码。
enter-line-full = 该收银台排队的手机过多。请稍候再输入号码。
enter-let-go = 谢谢！下一位顾客可以付款了。您准备好后，请重新输入收银台号。
log-out = 退出

# 等待
line-title = 马上轮到您
line-ahead =
    { $count ->
       *[other] 您前面还有 { $count } 位顾客。
    }
keep-open = 请不要关闭此页面。
waiting-title = 可以付款了
waiting-text = 收银员会把金额发送到您的手机。
leave-till = 选择其他收银台

# 确认
confirm-title = 这是您的消费吗？
confirm-text = 请与收银台核对金额。如果收银台显示代码，代码必须一致。
confirm-yes = 是的，立即付款
confirm-decline = 我不想付款
confirm-not-mine = 这不是我的消费
seconds-left = 剩余秒数
late-title = 剩余时间不足
late-text = 请让收银员重新发起付款。

# 付款
contacting-title = 请稍候
contacting-text = 正在准备您的付款。
contacting-again = 正在为您准备再次付款。
checking-text = 支付平台尚未答复，我们会继续查询。请不要重复付款。
pay-title = 请付款
pay-opens = 付款页面会自动打开。如果没有打开，请点按钮。
pay-return = 还没付款？请点按钮。如果已经付款，结果会自动显示在这里。
pay-retry = 您可以再试一次。
pay-button = 打开付款页面
pay-let-go = 让下一位顾客先付
pay-give-up = 取消付款
closing-title = 正在结束付款
closing-text = 请稍候，不要再付款。

# 未成功的原因
failed-password = 账号或密码错误。
failed-tries = 密码错误次数太多。
failed-funds = 账户余额不足。
failed-declined = 付款被拒绝。
failed-not-allowed = 支付平台不接受这笔付款。
failed-other = 付款未成功。

# 结果
paid-title = 付款成功，谢谢！
paid-text = 付款已完成。如有需要，请向收银员出示此页面。
returned-title = 款项将退还给您
returned-text = 这笔付款已全额退还。如有疑问，请询问收银员。
unpaid-title = 未付款
unpaid-customer = 您选择了不付款。
unpaid-given-up = 付款已取消。
unpaid-expired = 付款时间已过。
unpaid-wrong-payment = 支付平台扣款金额有误。请联系店员，他们会处理。
unpaid-till = 收银员停止了付款。
unpaid-clock = 收银台等待超时。
unpaid-power-cut = 付款中断了。
unpaid-lapsed = 未及时确认付款。
unpaid-next = 如需再试，请联系收银员。
unpaid-safe = 如果之后仍被扣款，会自动退还给您。
back-on-its-way = 退款正在处理中。
back-done = 款项已退还给您。
done-button = 完成

# 退款
choose-title = 您将收到退款
choose-all = 该笔付款的全部剩余金额
choose-one = 是这笔付款吗？
choose-which = 是您的哪一笔付款？
choose-none = 您没有符合的付款，请联系收银员。
choose-yes = 是的，退回 { $amount }
choose-no = 不是，这与我无关
choose-left = 其中剩余
choose-receipt = 收据号
returning-text = 正在为您退款。
returning-checking = 支付平台尚未答复，我们会继续查询。
given-title = 已退款
given-text = 款项将退回您付款时使用的账户。
pending-title = 退款尚未确认
pending-text = 支付平台尚未答复。商店已记录这笔退款，并会继续查询直到有结果。您无需等待。
kept-title = 未退款
kept-customer = 您拒绝了退款。
kept-refused = 支付平台不退还这笔付款。
kept-till = 收银员停止了退款。
kept-power-cut = 退款中断了。
kept-lapsed = 未及时选择付款。
kept-next = 如需退款，请联系收银员。

# 收据
receipt-shop = 商店
receipt-till = 收银台
receipt-amount = 金额
receipt-code = 代码
receipt-time = 日期和时间
receipt-sale = 交易
receipt-payment = 付款
receipt-return = 退款编号
receipt-back = 退款
receipt-keep = 如需保留收据，请截屏或另存为文本。
receipt-text = 文本收据
receipt-paid = 已付款
receipt-unpaid = 未付款
receipt-time-pattern = %Y年%-m月%-d日 %H:%M

# 遇到问题时
busy-title = 现在有点忙
busy-text = 此页面会自动重试。
full-title = Wi-Fi 暂时已满
full-text = 请稍后再试，或用其他方式付款。
stale-title = 此页面已过期
stale-text = 没有进行任何操作。请返回再试一次。
bad-title = 操作未成功
bad-text = 内容缺失或有误，没有进行任何操作。请返回再试一次。
back-button = 返回
